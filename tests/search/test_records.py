"""Events, the history made from them, results made from that, and folder names."""

import json
import re
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import ConfigError
from search.folder import SearchFolder, claimed, folder_to_resume, new_folder
from search.plan import make_plan
from search.record.event_log import VERSION, EventLog
from search.record.events import (
    SEARCH_ENDED,
    SEARCH_STARTED,
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_PROMOTED,
    TRIAL_REPORTED,
    TRIAL_STARTED,
    TRIAL_STOPPED,
    Event,
    EventStream,
)
from search.record.history import History
from search.record.results import Results, _cell, _write_table
from search.space.space_file import read_space
from search.trials.cluster import Machines
from search.trials.tuner import run_trials
from trainable.run_folder import FolderInUseError
from trainable.train import main as train

PARAMS = {"MODEL.HEAD.DROPOUT": 0.1, "MODEL.HEAD.HIDDEN_DIMS": [8]}


def reported(trial: int, epoch: int, score: float, time: float) -> Event:
    return Event(TRIAL_REPORTED, trial, {"metrics": {"epoch": epoch, "val_score": score}}, time)


def events() -> list[Event]:
    started = [Event(TRIAL_STARTED, n, {"id": f"id{n}", "params": PARAMS, "settings": PARAMS}, 100.0) for n in range(5)]
    return [
        Event(SEARCH_STARTED, data={"version": VERSION}, time=99.0),
        *started,
        reported(0, 1, 0.5, 101.0),
        reported(0, 2, 0.8, 102.0),
        reported(0, 3, 0.7, 103.0),
        Event(TRIAL_DONE, 0, {}, 103.0),
        reported(1, 1, 0.2, 104.0),
        Event(TRIAL_STOPPED, 1, {}, 104.0),
        reported(2, 1, 0.95, 105.0),
        Event(TRIAL_FAILED, 2, {"reason": "epoch 2: val_loss is nan"}, 105.5),
        reported(3, 1, 0.8, 106.0),
        Event(SEARCH_ENDED, data={"reason": "interrupted"}, time=107.0),
    ]


def test_the_log_gives_back_what_was_written():
    log = EventLog("events.jsonl")
    for event in events():
        log(event)
    assert log.read() == events()


def test_a_last_line_that_was_cut_off_is_dropped():
    log = EventLog("events.jsonl")
    for event in events():
        log(event)
    with open("events.jsonl", "a") as file:
        file.write('{"kind": "trial_rep')
    assert log.read() == events()
    log.drop_torn_line()
    log(Event(SEARCH_STARTED, data={"version": VERSION}, time=200.0))
    assert len(log.read()) == len(events()) + 1


def test_logs_that_are_none():
    assert EventLog("missing.jsonl").read() == []
    Path("other.jsonl").write_text("hello\n")
    with pytest.raises(ConfigError, match="line 1: is no event of a search"):
        EventLog("other.jsonl").read()
    Path("future.jsonl").write_text(json.dumps({"kind": SEARCH_STARTED, "data": {"version": 99}}) + "\n")
    with pytest.raises(ConfigError, match="in format 99; this version has format 2"):
        EventLog("future.jsonl").read()


def test_the_history():
    history = History(events())
    assert {n: record.state for n, record in history.trials.items()} == {
        0: "done",
        1: "stopped",
        2: "failed",
        3: "interrupted",
        4: "interrupted",
    }
    assert history.trials[0].best("val_score") == {"epoch": 2, "val_score": 0.8}  # over all epochs
    assert history.trials[0].seconds == 3.0
    assert history.trials[2].reason == "epoch 2: val_loss is nan"
    assert history.trials[3].name == "0003_id3"


def test_the_best_trial_is_no_failed_one_and_of_equals_the_first():
    best = History(events()).best_trial("val_score")
    assert best is not None and best.number == 0
    assert History().best_trial("val_score") is None


def test_a_trial_that_goes_on_after_an_interruption():
    history = History(
        [
            *events(),
            Event(TRIAL_STARTED, 3, {"id": "id3", "params": PARAMS, "settings": PARAMS}, 1000.0),
            reported(3, 2, 0.9, 1001.0),
            Event(TRIAL_DONE, 3, {}, 1001.0),
        ]
    )
    assert len(history.trials[3].rows) == 2
    assert history.trials[3].seconds == 7.0  # not the time in between
    assert history.trials[3].state == "done"


def test_result_files():
    Path("s.yaml").write_text(
        "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}, MODEL.HEAD.HIDDEN_DIMS: {choice: [[], [8]]}}\n"
    )
    folder = SearchFolder("exp")
    config = folder.trials / "0000_id0" / "results" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("SEED: 7\n")
    history = History()
    stream = EventStream([history, Results(make_plan(read_space("s.yaml")), history, folder)])
    for event in events():
        for listener in stream.listeners:
            listener(event)
    for table in (pd.read_csv(folder.results_csv), pd.read_parquet(folder.results_parquet)):
        assert table["trial"].tolist() == [0, 1, 2, 3, 4]
        assert table["state"].tolist() == ["done", "waits", "failed", "interrupted", "interrupted"]
        assert table["val_score"].tolist()[:4] == [0.8, 0.2, 0.95, 0.8]
        assert table["best_epoch"].tolist()[:4] == [2, 1, 1, 1]
        assert table["epochs"].tolist() == [3, 1, 1, 1, 0]
        assert table["MODEL.HEAD.HIDDEN_DIMS"].tolist()[0] == "[8]"
        assert table["reason"].tolist()[2] == "epoch 2: val_loss is nan"
    best = folder.best.read_text()
    assert best.startswith(
        "# The best trial of this search: 0000_id0, val_score 0.8 in epoch 2 (3 of 9 epochs trained)."
    )
    assert "python -m trainable.train -o exp-best --cfg exp/best.yaml" in best
    assert best.endswith("SEED: 7\n")


def test_the_next_free_name_is_taken():
    assert new_folder(None, "head").path == Path("experiments/head")
    Path("experiments/head").mkdir(parents=True)
    assert new_folder(None, "head").path == Path("experiments/head-2")
    Path("experiments/head-2").mkdir()
    assert new_folder(None, "head").path == Path("experiments/head-3")


def test_a_folder_in_use():
    Path("mine").mkdir()
    assert new_folder("mine", "head").path == Path("mine")  # empty ones are free
    Path("mine/thesis.txt").touch()
    with pytest.raises(ConfigError, match="mine: the folder is not empty; give another folder with -o") as caught:
        new_folder("mine", "head")
    assert "--resume" not in str(caught.value)
    for name in ("events.jsonl", "base.yaml", "space.yaml"):
        Path("mine", name).touch()
    with pytest.raises(ConfigError, match=r"go on with that search: python -m search\.run --resume -o mine"):
        new_folder("mine", "head")


def test_what_cannot_be_resumed_is_told_with_what_can():
    Path("a").mkdir()
    for name in ("events.jsonl", "space.yaml"):
        Path("a", name).touch()
    with pytest.raises(ConfigError, match=r"a: cannot be resumed without a/base\.yaml; put back what is missing"):
        folder_to_resume("a", None)
    assert train(["-o", "a", "--resume"]) == 2
    Path("b/results").mkdir(parents=True)
    Path("b/results/config.yaml").touch()
    with pytest.raises(ConfigError, match=r"go on with that training: python -m trainable\.train --resume -o b"):
        folder_to_resume("b", None)


def test_a_broken_line_of_the_events_is_named():
    log = EventLog("events.jsonl")
    log(Event(SEARCH_STARTED, data={"version": VERSION}))
    with open("events.jsonl", "a") as file:
        file.write("{broken\n")
    with pytest.raises(ConfigError, match=r"events\.jsonl, line 2: is no event of a search"):
        log.read()


def test_which_search_to_resume():
    with pytest.raises(ConfigError, match="experiments/head: nothing to resume"):
        folder_to_resume(None, "head")
    with pytest.raises(ConfigError, match="which search should go on"):
        folder_to_resume(None, None)
    for name in ("head", "head-2", "head-10", "head-best"):
        Path("experiments", name).mkdir(parents=True)
        for file in ("events.jsonl", "base.yaml", "space.yaml"):
            Path("experiments", name, file).touch()
    assert folder_to_resume(None, "head").path == Path("experiments/head-10")
    assert folder_to_resume("experiments/head", None).path == Path("experiments/head")


def test_an_epoch_that_is_trained_again_counts_once():
    history = History([*events(), Event(TRIAL_STARTED, 3, {}, 200.0), reported(3, 1, 0.6, 201.0)])
    assert history.trials[3].rows == [{"epoch": 1, "val_score": 0.6}]


@pytest.mark.parametrize("kind", ["promotion", "stopping"])
def test_trials_whose_end_was_lost_are_ended_without_training(kind):
    """The driver died after the last report of trial 0, and after a report by which asha stops trial 1."""
    Path("s.yaml").write_text(
        "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}, MODEL.HEAD.HIDDEN_DIMS: {choice: [[], [8]]}}\n"
        f"search: {{reference: false, scheduler: {{asha: {{type: {kind}}}}}}}\n"
    )
    log = [Event(SEARCH_STARTED, data={"version": VERSION}, time=1.0)]
    log += [Event(TRIAL_STARTED, n, {"id": f"id{n}", "params": PARAMS, "settings": PARAMS}, 1.0) for n in range(2)]
    log += [reported(0, epoch, 0.5, 2.0) for epoch in range(1, 10)]
    log += [reported(1, 1, 0.1, 3.0)]
    history = History(log)
    plan = make_plan(read_space("s.yaml"), num_samples=2)
    stream = EventStream([history])
    assert run_trials(plan, SearchFolder("exp"), history, log, stream, Machines()) is None
    assert [history.trials[n].state for n in range(2)] == ["done", "stopped"]


def test_of_two_searches_that_start_at_once_the_second_takes_the_next_folder():
    chosen = new_folder(None, "head")  # by both, before either has begun
    with ExitStack() as stack:
        first, second = (claimed(chosen, "head", True, stack) for _ in range(2))
        assert (first.path, second.path) == (Path("experiments/head"), Path("experiments/head-2"))
        with pytest.raises(FolderInUseError, match="another process is at work in this folder"):
            claimed(chosen, None, True, stack)  # a folder that the user gave


@pytest.mark.parametrize("place", ["s3://bucket/x", "gs:/x", "file:///tmp/x"])
def test_results_do_not_go_to_urls(place):
    for choose in (lambda: new_folder(place, "head"), lambda: folder_to_resume(place, None)):
        with pytest.raises(ConfigError, match=f"-o: {place}: results go to folders of this machine's file system"):
            choose()


START = {"id": "a1", "params": {}, "settings": {}}
UNUSABLE = {
    "unknown kind 'trial_exploded'": {"kind": "trial_exploded", "trial": 0},
    "data is no mapping": {"kind": TRIAL_DONE, "trial": 0, "data": [1]},
    "time is 'noon', which is no number": {"kind": TRIAL_DONE, "trial": 0, "time": "noon"},
    "trial is None, which is no number of a trial": {"kind": TRIAL_DONE},
    "trial 7 has not started before": {"kind": TRIAL_DONE, "trial": 7},
    "metrics has no epoch": {"kind": TRIAL_REPORTED, "trial": 0, "data": {"metrics": {}}},
    "val_score is nan": {
        "kind": TRIAL_REPORTED,
        "trial": 0,
        "data": {"metrics": {"epoch": 1, "val_score": float("nan")}},
    },
    "val_score is '1'": {"kind": TRIAL_REPORTED, "trial": 0, "data": {"metrics": {"epoch": 1, "val_score": "1"}}},
    "id is '/../../x'": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "id": "/../../x"}},
    "settings is no mapping": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "settings": None}},
    "donor is 3": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "donor": 3}},
    "reason is no text": {"kind": TRIAL_FAILED, "trial": 0, "data": {}},
    "val_score is 1000": {"kind": TRIAL_REPORTED, "trial": 0, "data": {"metrics": {"epoch": 1, "val_score": 10**400}}},
    "notes is no mapping": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "notes": 0.5}},
    "confirms is 7": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "confirms": 7}},
    "confirms is 0": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "confirms": 0}},
    "confirms is [1]": {"kind": TRIAL_STARTED, "trial": 1, "data": {**START, "confirms": [1]}},
    "donor is {'number': [1]": {
        "kind": TRIAL_STARTED,
        "trial": 1,
        "data": {**START, "donor": {"number": [1], "epoch": 1}},
    },
    "LINEAGE of settings is no list of epochs": {
        "kind": TRIAL_STARTED,
        "trial": 1,
        "data": {**START, "settings": {"LINEAGE": [{"x": 1}]}},
    },
    "promotion is no mapping": {"kind": TRIAL_PROMOTED, "trial": 0, "data": {"promotion": []}},
    "unread is no list of keys": {"kind": TRIAL_DONE, "trial": 0, "data": {"unread": [1]}},
    "node is no text": {"kind": TRIAL_DONE, "trial": 0, "data": {"node": 1}},
    "trial is 0, which no event of the whole search has": {"kind": SEARCH_STARTED, "trial": 0},
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_events_that_somebody_has_changed(message):
    log = EventLog("events.jsonl")
    log(Event(SEARCH_STARTED, data={"version": VERSION}))
    log(Event(TRIAL_STARTED, 0, START))
    with open("events.jsonl", "a") as file:
        file.write(json.dumps({"time": 1.0, "data": {}, **UNUSABLE[message]}) + "\n")
    with pytest.raises(ConfigError, match=rf"events.jsonl, line 3: is no event of a search \({re.escape(message)}"):
        log.read()


def test_an_epoch_that_is_reported_again_takes_the_place_of_the_later_ones():
    history = History([*events()[:6], *(reported(0, epoch, epoch / 10, 101.0) for epoch in (1, 2, 3, 2))])
    assert [row["epoch"] for row in history.trials[0].rows] == [1, 2]


def test_names_of_metrics_take_memory_once():
    stream = EventStream([EventLog("events.jsonl")])
    for _ in range(2):
        stream.emit(SEARCH_STARTED, version=VERSION, data_digest="x")
    first, second = EventLog("events.jsonl").read()
    assert all(a is b for a, b in zip(first.data, second.data, strict=True))


@pytest.mark.parametrize("values", [[1, "auto", None], [True, "a"], [True, 3], [1.5, None, "x"], [[8], None, "[8]"]])
def test_values_of_several_kinds_are_a_column_of_text(values):
    _write_table({"key": [_cell(value) for value in values]}, Path("a.csv"), Path("a.parquet"))
    expected = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    assert pd.read_parquet("a.parquet")["key"].astype(object).where(
        lambda column: column.notna(), "missing"
    ).tolist() == ["missing" if value is None else value for value in expected]
