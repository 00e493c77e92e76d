"""Events, the history made from them, results made from that, and folder names."""

import contextlib
import json
import re
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import ConfigError
from search.engine.controller import Controller
from search.folder import SearchFolder, claimed, folder_to_resume, new_folder
from search.plan import make_plan
from search.record.event_json import from_json, to_json
from search.record.event_log import EventLog
from search.record.events import (
    Donor,
    EpochReported,
    Event,
    Promotion,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialPromoted,
    TrialStarted,
    WorkerReady,
)
from search.record.history import History
from search.record.outcomes import State
from search.record.recorder import Observer, Recorder
from search.record.results import Results, _write_table
from search.record.table import _cell
from search.space.distributions import FloatRange
from search.space.items import Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space
from search.space.space_file import read_space
from trainable.run_folder import FolderInUseError
from trainable.train import main as train

PARAMS = {"MODEL.HEAD.DROPOUT": 0.1, "MODEL.HEAD.HIDDEN_DIMS": [8]}


def reported(trial: int, epoch: int, score: float, time: float) -> Event:
    return EpochReported(trial, {"epoch": epoch, "val_score": score}, time=time)


def started(trial: int, time: float = 100.0) -> Event:
    return TrialStarted(trial, f"id{trial}", PARAMS, PARAMS, time=time)


def events() -> list[Event]:
    return [
        SearchStarted(time=99.0),
        *(started(number) for number in range(5)),
        reported(0, 1, 0.5, 101.0),
        reported(0, 2, 0.8, 102.0),
        reported(0, 3, 0.7, 103.0),
        TrialEnded(0, State.DONE, time=103.0),
        reported(1, 1, 0.2, 104.0),
        TrialEnded(1, State.WAITING, time=104.0),
        reported(2, 1, 0.95, 105.0),
        TrialEnded(2, State.FAILED, "epoch 2: val_loss is nan", time=105.5),
        reported(3, 1, 0.8, 106.0),
        SearchEnded("interrupted", time=107.0),
    ]


EACH_KIND = [
    SearchStarted("digest", {"a.py": "f00"}, {"SEED": 1}, {"x": {"uniform": [0, 1]}}, {"seed": 0}, {"cpu": 1.0}, {}),
    TrialStarted(0, "a1", PARAMS, PARAMS, {"qmc_index": 3}),
    TrialStarted(1, "a2", {"SEED": 7}, PARAMS, confirms=0),
    TrialStarted(0, "a1", PARAMS, PARAMS, donor=Donor(1, "0001_a2", 2)),
    WorkerReady(0),
    EpochReported(0, {"epoch": 1, "val_score": 0.5}, 42, "here", {"training": 1.5, "waiting": 0.1}),
    TrialPromoted(0, Promotion(1, 3, "slow", 1, 2, True)),
    TrialEnded(0, State.INTERRUPTED, "a disk", "here"),
    TrialEnded(1, State.STOPPED, unread=("SEED",)),
    SearchEnded("finished", is_exhausted=True),
]


@pytest.mark.parametrize("event", EACH_KIND, ids=lambda event: type(event).__name__)
def test_every_event_comes_back_from_json(event):
    assert from_json(json.loads(json.dumps(to_json(event)))) == event


def test_the_log_gives_back_what_was_written():
    log = EventLog("events.jsonl")
    for event in events():
        log.append(event)
    assert log.read() == events()


def test_a_last_line_that_was_cut_off_is_dropped():
    log = EventLog("events.jsonl")
    for event in events():
        log.append(event)
    with open("events.jsonl", "a") as file:
        file.write('{"kind": "trial_rep')
    assert log.read() == events()
    log.drop_torn_line()
    log.append(SearchStarted(time=200.0))
    assert len(log.read()) == len(events()) + 1


def test_logs_that_are_none():
    assert EventLog("missing.jsonl").read() == []
    Path("other.jsonl").write_text("hello\n")
    with pytest.raises(ConfigError, match="line 1: is not a valid event"):
        EventLog("other.jsonl").read()
    Path("future.jsonl").write_text(json.dumps({"kind": "search_started", "data": {"version": 99}}) + "\n")
    with pytest.raises(ConfigError, match="in format 99; this version reads formats 2 and 3"):
        EventLog("future.jsonl").read()


VERSION_2 = """\
{"kind": "search_started", "trial": null, "time": 1.0, "data": {"version": 2, "data_digest": "d", "code": {}}}
{"kind": "trial_started", "trial": 0, "time": 2.0, "data": {"id": "a1", "params": {}, "settings": {}, "notes": {}, \
"confirms": null, "is_reference": false, "donor": null}}
{"kind": "trial_reported", "trial": 0, "time": 3.0, "data": {"metrics": {"epoch": 1, "val_score": 0.5}, "pid": 1, \
"node": "vm"}}
{"kind": "trial_failed", "trial": 0, "time": 4.0, "data": {"reason": "a disk", "is_tried_again": true, "node": "vm"}}
{"kind": "trial_failed", "trial": 0, "time": 5.0, "data": {"reason": "a disk", "is_tried_again": false, "node": ""}}
{"kind": "trial_stopped", "trial": 0, "time": 6.0, "data": {"unread": ["SEED"]}}
{"kind": "trial_done", "trial": 0, "time": 7.0, "data": {"unread": []}}
{"kind": "search_ended", "trial": null, "time": 8.0, "data": {"reason": "finished", "is_exhausted": false}}
"""


def test_a_log_of_version_2_is_read():
    Path("events.jsonl").write_text(VERSION_2)
    found = EventLog("events.jsonl").read()
    assert found == [
        SearchStarted("d", version=2, time=1.0),
        TrialStarted(0, "a1", {}, {}, time=2.0),
        EpochReported(0, {"epoch": 1, "val_score": 0.5}, 1, "vm", time=3.0),
        TrialEnded(0, State.INTERRUPTED, "a disk", "vm", time=4.0),
        TrialEnded(0, State.FAILED, "a disk", time=5.0),
        TrialEnded(0, State.STOPPED, unread=("SEED",), time=6.0),
        TrialEnded(0, State.DONE, time=7.0),
        SearchEnded("finished", time=8.0),
    ]
    assert History(found).version == 2


def test_the_history():
    history = History(events())
    assert {n: record.state for n, record in history.trials.items()} == {
        0: "done",
        1: "waits",
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
            started(3, 1000.0),
            WorkerReady(3, time=1005.0),
            reported(3, 2, 0.9, 1006.0),
            TrialEnded(3, State.DONE, time=1006.0),
        ]
    )
    assert len(history.trials[3].rows) == 2
    assert history.trials[3].seconds == 7.0  # neither the time in between, nor what it waited for its worker
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
    results = Results(make_plan(read_space("s.yaml")), history, folder)
    for event in [*events()[:6], WorkerReady(4, time=100.0), *events()[6:]]:
        history.add(event)
        results.update(event)
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
    with pytest.raises(ConfigError, match=r"resume that search: python -m search\.run --resume -o mine"):
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
    with pytest.raises(ConfigError, match=r"resume that training: python -m trainable\.train --resume -o b"):
        folder_to_resume("b", None)


def test_a_broken_line_of_the_events_is_named():
    log = EventLog("events.jsonl")
    log.append(SearchStarted())
    with open("events.jsonl", "a") as file:
        file.write("{broken\n")
    with pytest.raises(ConfigError, match=r"events\.jsonl, line 2: is not a valid event"):
        log.read()


def test_which_search_to_resume():
    with pytest.raises(ConfigError, match="experiments/head: nothing to resume"):
        folder_to_resume(None, "head")
    with pytest.raises(ConfigError, match="which search should be resumed"):
        folder_to_resume(None, None)
    for name in ("head", "head-2", "head-10", "head-best"):
        Path("experiments", name).mkdir(parents=True)
        for file in ("events.jsonl", "base.yaml", "space.yaml"):
            Path("experiments", name, file).touch()
    assert folder_to_resume(None, "head").path == Path("experiments/head-10")
    assert folder_to_resume("experiments/head", None).path == Path("experiments/head")


def test_an_epoch_that_is_trained_again_counts_once():
    history = History([*events(), started(3, 200.0), reported(3, 1, 0.6, 201.0)])
    assert history.trials[3].rows == [{"epoch": 1, "val_score": 0.6}]


@pytest.mark.parametrize(("kind", "state"), [("promotion", State.WAITING), ("stopping", State.STOPPED)])
def test_trials_whose_end_was_lost_are_ended_without_training(kind, state):
    """The driver died after the last report of trial 0, and after a report by which asha ends the run of trial 1."""
    options = SearchOptions(num_samples=2, scheduler=NamedOptions("asha", {"type": kind}))
    space = Space([Parameter("x", "", distribution=FloatRange("uniform", 0, 1))])
    log = [
        SearchStarted(options=options.to_yaml()),
        *(TrialStarted(n, f"id{n}", {"x": n / 2}, {"x": n / 2}) for n in (0, 1)),
    ]
    log += [reported(0, epoch, 0.5, 2.0) for epoch in range(1, 10)]
    log += [reported(1, 1, 0.1, 3.0)]
    controller = Controller(space, options, 9, log)
    controller.begin(SearchStarted(options=options.to_yaml()), slots=1)
    assert [controller.history.trials[n].state for n in range(2)] == [State.DONE, state]
    assert controller.next_trial() is None and controller.finish() == "finished"


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
    "data is no mapping": {"kind": "trial_done", "trial": 0, "data": [1]},
    "time is 'noon', which is no number": {"kind": "trial_done", "trial": 0, "time": "noon"},
    "trial is None, which is no number of a trial": {"kind": "trial_done"},
    "trial 7 has not started before": {"kind": "trial_done", "trial": 7},
    "metrics has no epoch": {"kind": "trial_reported", "trial": 0, "data": {"metrics": {}}},
    "val_score is nan": {
        "kind": "trial_reported",
        "trial": 0,
        "data": {"metrics": {"epoch": 1, "val_score": float("nan")}},
    },
    "val_score is '1'": {"kind": "trial_reported", "trial": 0, "data": {"metrics": {"epoch": 1, "val_score": "1"}}},
    "id is '/../../x'": {"kind": "trial_started", "trial": 1, "data": {**START, "id": "/../../x"}},
    "settings is no mapping": {"kind": "trial_started", "trial": 1, "data": {**START, "settings": None}},
    "donor is 3": {"kind": "trial_started", "trial": 1, "data": {**START, "donor": 3}},
    "reason is no text": {"kind": "trial_failed", "trial": 0, "data": {}},
    "val_score is 1000": {
        "kind": "trial_reported",
        "trial": 0,
        "data": {"metrics": {"epoch": 1, "val_score": 10**400}},
    },
    "notes is no mapping": {"kind": "trial_started", "trial": 1, "data": {**START, "notes": 0.5}},
    "confirms is 7": {"kind": "trial_started", "trial": 1, "data": {**START, "confirms": 7}},
    "confirms is 0": {"kind": "trial_started", "trial": 1, "data": {**START, "confirms": 0}},
    "confirms is [1]": {"kind": "trial_started", "trial": 1, "data": {**START, "confirms": [1]}},
    "donor is {'number': [1]": {
        "kind": "trial_started",
        "trial": 1,
        "data": {**START, "donor": {"number": [1], "epoch": 1}},
    },
    "LINEAGE of settings is no list of epochs": {
        "kind": "trial_started",
        "trial": 1,
        "data": {**START, "settings": {"LINEAGE": [{"x": 1}]}},
    },
    "promotion is no mapping": {"kind": "trial_promoted", "trial": 0, "data": {"promotion": []}},
    "state is 'lost', which is none in which a trial ends": {
        "kind": "trial_ended",
        "trial": 0,
        "data": {"state": "lost"},
    },
    "training is 'long'": {
        "kind": "trial_reported",
        "trial": 0,
        "data": {"metrics": {"epoch": 1}, "seconds": {"training": "long"}},
    },
    "state is 'running', which is none": {"kind": "trial_ended", "trial": 0, "data": {"state": "running"}},
    "trial 0 is done without an epoch": {"kind": "trial_done", "trial": 0},
    "pid is no whole number": {"kind": "trial_reported", "trial": 0, "data": {"metrics": {"epoch": 1}, "pid": "x"}},
    "unread is no list of keys": {"kind": "trial_done", "trial": 0, "data": {"unread": [1]}},
    "node is no text": {"kind": "trial_done", "trial": 0, "data": {"node": 1}},
    "trial is 0, which no event of the whole search has": {"kind": "search_started", "trial": 0},
}


@pytest.mark.parametrize("message", UNUSABLE)
def test_events_that_somebody_has_changed(message):
    log = EventLog("events.jsonl")
    log.append(SearchStarted())
    log.append(TrialStarted(0, "a1", {}, {}))
    with open("events.jsonl", "a") as file:
        file.write(json.dumps({"time": 1.0, "data": {}, **UNUSABLE[message]}) + "\n")
    with pytest.raises(ConfigError, match=rf"events.jsonl, line 3: is not a valid event \({re.escape(message)}"):
        log.read()


def test_an_epoch_that_is_reported_again_takes_the_place_of_the_later_ones():
    history = History([*events()[:6], *(reported(0, epoch, epoch / 10, 101.0) for epoch in (1, 2, 3, 2))])
    assert [row["epoch"] for row in history.trials[0].rows] == [1, 2]


def test_names_of_metrics_take_memory_once():
    log = EventLog("events.jsonl")
    for event in (SearchStarted(), started(0), reported(0, 1, 0.5, 1.0), reported(0, 2, 0.5, 1.0)):
        log.append(event)
    first, second = log.read()[2:]
    assert all(a is b for a, b in zip(first.metrics, second.metrics, strict=True))


class Noisy(Observer):
    """An observer that fails at its second event."""

    def __init__(self):
        self.seen: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.seen.append(event)
        if len(self.seen) == 2:
            raise ConnectionError("nobody there")

    def on_message(self, text: str) -> None:
        raise AssertionError("it is left out before anything is said")


class Listener(Noisy):
    speaks = True

    def __init__(self):
        super().__init__()
        self.said: list[str] = []

    def on_event(self, event: Event) -> None:
        self.seen.append(event)

    def on_message(self, text: str) -> None:
        self.said.append(text)


def test_an_observer_that_raises_is_told_once_and_left_out(capsys):
    noisy, listener, history = Noisy(), Listener(), History()
    recorder = Recorder(EventLog("events.jsonl"), history, lambda event: True, [noisy, listener])
    for event in events():
        recorder.record(event)
    assert len(noisy.seen) == 2 and listener.seen == history.events == EventLog("events.jsonl").read() == events()
    told = "Noisy failed and is switched off: ConnectionError: nobody there"
    assert listener.said == [told] and capsys.readouterr().err == ""
    alone = Recorder(EventLog("other.jsonl"), History(), lambda event: True, [Noisy()])
    for event in events():
        alone.record(event)
    assert capsys.readouterr().err == f"{told}\n", "where nobody is left to say it"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device", "results.csv"), ValueError("a column")])
def test_results_that_cannot_be_written_are_written_with_a_later_event(error):
    is_full = [True]

    def write(event: Event) -> bool:
        if isinstance(event, TrialEnded) and is_full[0]:
            raise error
        return isinstance(event, TrialEnded)

    listener = Listener()
    recorder = Recorder(EventLog("events.jsonl"), History(), write, [listener])
    for event in events()[:14]:
        recorder.record(event)
    why = "results.csv: no space left on device" if isinstance(error, OSError) else "ValueError: a column"
    assert recorder.results_error == why
    assert len(listener.said) == 1 and listener.seen == events()[:14], "it is told once, and the search goes on"
    is_full[0] = False
    recorder.record(reported(3, 1, 0.8, 106.0))
    assert recorder.results_error == why, "nothing was written with this event"
    recorder.record(TrialEnded(3, State.DONE))
    assert recorder.results_error is None


def test_an_observer_harms_nothing_where_nobody_can_be_told(monkeypatch):
    history = History()
    recorder = Recorder(EventLog("events.jsonl"), history, lambda event: True, [Noisy()])
    with open("/dev/full", "w", buffering=1) as nowhere, monkeypatch.context() as patch:
        patch.setattr("sys.stderr", nowhere)
        for event in events():
            recorder.record(event)
        with contextlib.suppress(OSError):
            nowhere.close()
    assert history.events == events()


def test_a_log_that_a_later_version_has_continued_is_refused():
    log = EventLog("events.jsonl")
    log.append(SearchStarted())
    log.append(SearchStarted(version=4))
    with pytest.raises(ConfigError, match=r"line 2: is not a valid event \(its format is 4, and can be 2 or 3\)"):
        log.read()


@pytest.mark.parametrize("values", [[1, "auto", None], [True, "a"], [True, 3], [1.5, None, "x"], [[8], None, "[8]"]])
def test_values_of_several_kinds_are_a_column_of_text(values):
    _write_table({"key": [_cell(value) for value in values]}, Path("a.csv"), Path("a.parquet"))
    expected = [None if value is None else value if isinstance(value, str) else json.dumps(value) for value in values]
    assert pd.read_parquet("a.parquet")["key"].astype(object).where(
        lambda column: column.notna(), "missing"
    ).tolist() == ["missing" if value is None else value for value in expected]
