"""Whole searches: real Ray, real Optuna, real training, real files."""

import contextlib
import io
import json
import os
import platform
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import nbclient
import nbformat
import pandas as pd
import pytest
import yaml

from configs.loader import load_cfg
from search.engine.controller import Controller
from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.events import EpochReported, TrialStarted, WorkerReady
from search.record.history import History
from search.record.outcomes import ENDED, State
from search.run import main
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space
from tests.conftest import ROOT, TINY, without_times
from tests.end_to_end.searches import (
    EPOCHS,
    RATE,
    most_at_a_time,
    train_again,
    train_best_elsewhere,
    workers,
    write_space,
)
from trainable.run_folder import RunFolder

SECRET = "s3cret-of-the-cloud"


@pytest.fixture(scope="module")
def searched(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A finished search of twelve trials, two at a time: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("searched")
    # slow, so that the second worker has something to do when it has started at last
    dropout = "MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}"
    space = write_space(folder, f"{RATE}, {dropout}", "num_samples: 12", MODEL__BACKBONE__NAME="slow_tiny")
    (folder / ".env").write_text(f"GCP_KEY={SECRET}\n")
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        status = main(["--space", str(space), "--address", ray_address])
    assert status == 0, printed.getvalue()
    return folder / "experiments" / "tiny_space", printed.getvalue()


def test_what_a_search_leaves(searched):
    folder, printed = searched
    names = {path.name for path in folder.iterdir()}
    assert names >= {"space.yaml", "base.yaml", "provenance.yaml", "events.jsonl", "trials", "results.csv", "best.yaml"}
    table = pd.read_csv(folder / "results.csv")
    parquet = pd.read_parquet(folder / "results.parquet")
    pd.testing.assert_frame_equal(table.drop(columns="reason"), parquet.drop(columns="reason"), check_dtype=False)
    assert table["trial"].tolist() == list(range(12))
    assert set(table["state"]) <= {"done", "waits"}
    best = table.loc[table["val_score"].idxmax()]
    header = (folder / "best.yaml").read_text().splitlines()[0]
    assert f"{best['trial']:04d}_" in header and f"val_score {float(best['val_score'])!r} in epoch" in header
    assert "retrain the best: python -m trainable.train -o experiments/tiny_space-best" in printed
    assert len({line.split()[2] for line in printed.splitlines() if re.search(r"\] trial +\d+ ", line)}) == 12


def test_asha_stops_trials_at_different_rungs(searched):
    table = pd.read_csv(searched[0] / "results.csv")
    waiting = table[table["state"] == "waits"]
    assert len(waiting) >= 4
    assert set(table["epochs"]) >= {1, 9}
    assert set(waiting["epochs"]) <= {1, 3}


def test_trials_wait_and_go_on_without_training_an_epoch_twice(searched):
    events = EventLog(searched[0] / "events.jsonl").read()
    started = [event.trial for event in events if isinstance(event, TrialStarted)]
    assert len(started) > len(set(started)), "some trial waited and went on"
    reported = [(event.trial, event.metrics["epoch"]) for event in events if isinstance(event, EpochReported)]
    assert len(reported) == len(set(reported))


def test_an_epoch_says_what_its_time_went_to(searched):
    events = EventLog(searched[0] / "events.jsonl").read()
    reported = [event for event in events if isinstance(event, EpochReported)]
    for event in reported:
        assert {"training", "evaluation", "checkpoint"} <= event.seconds.keys() and event.node
        spent = event.seconds["training"] + event.seconds["evaluation"]
        assert 0 < spent <= event.metrics["seconds"] and event.seconds["checkpoint"] > 0
    follows: dict[int, bool] = {}  # whether the process of a trial has reported before, and waited for the answer
    for event in events:
        if isinstance(event, EpochReported):
            assert ("waiting" in event.seconds) == follows[event.trial]
            follows[event.trial] = True
        elif isinstance(event, WorkerReady):
            follows[event.trial] = False
    ready = {event.trial for event in events if isinstance(event, WorkerReady)}
    assert ready == {event.trial for event in reported}


def test_two_trials_run_at_a_time_in_two_processes_that_are_reused(searched):
    events = EventLog(searched[0] / "events.jsonl").read()
    assert len(workers(events)) == 2
    assert most_at_a_time(events) == 2


def test_a_trials_folder_is_that_of_a_run(searched):
    for trial in (searched[0] / "trials").iterdir():
        names = {path.name for path in trial.iterdir()}
        assert names >= {"latest.pt", "best.pt", "results", "train.log"}
        assert len(list((trial / "model_backups").iterdir())) <= 2, "the last epoch, and the one before"
        assert re.fullmatch(r"\d{4}_[0-9a-f]{6}", trial.name)


def test_a_secret_is_in_no_file_of_the_search_or_of_ray(searched, ray_folder):
    files = [path for folder in (searched[0], ray_folder) for path in folder.rglob("*") if path.is_file()]
    assert any("search_gen_state" in path.name for path in files), "Ray has saved the state of the search"
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in searched[1]


def test_ray_keeps_no_folder_of_a_trial(searched, ray_folder):
    names = [folder.name for folder in (searched[0] / "trials").iterdir()]
    left = [path for path in ray_folder.rglob("*") if any(path.name.startswith(name) for name in names)]
    assert names and not left


def test_every_trial_trains_again_to_the_same_numbers(searched, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # of slow_tiny
    folder, _ = searched
    history = History(EventLog(folder / "events.jsonl").read())
    assert len(history.trials) == 12
    for record in history.trials.values():
        again = train_again(folder / "trials" / record.name, record)
        assert again == without_times(record.rows), record.name
        assert RunFolder(folder / "trials" / record.name).read_metrics() == record.rows


def test_best_yaml_retrains_in_another_process_folder_and_with_other_threads(searched, tmp_path):
    folder, _ = searched
    rows = train_best_elsewhere(folder / "best.yaml", tmp_path / "best")
    best = History(EventLog(folder / "events.jsonl").read()).best_trial("val_score")
    assert best and rows[: len(best.rows)] == without_times(best.rows)
    assert len(RunFolder(tmp_path / "best").backup_files()) == EPOCHS  # as a run of its own keeps them


def test_nothing_leaks_to_the_next_trial_and_failures_stay_alone(ray_address, tmp_path, capsys):
    heads = "MODEL.HEAD.NAME: {choice: [spoiling_head, simple_head_module, raising_head]}"
    losses = "MODEL.SOLVER.LOSS.NAME: {choice: [softmax_cross_entropy, nan_loss]}"
    space = write_space(
        tmp_path,
        f"{heads}, {losses}, MODEL.HEAD.DROPOUT: {{uniform: [0, 0.5]}}",
        "num_samples: 8, sampler: random, scheduler: none, seed: 0",
        MODEL__SOLVER__TOTAL_EPOCHS="1",
    )
    # one trial at a time, so that they share a process
    assert main(["--space", str(space), "--address", ray_address, "--cpus-per-trial", "2", "NUM_THREADS", "1"]) == 0

    folder = tmp_path / "experiments" / "tiny_space"
    events = EventLog(folder / "events.jsonl").read()
    history = History(events)
    pids = {event.trial: event.pid for event in events if isinstance(event, EpochReported)}
    assert len(set(pids.values())) == 1, "no failure costs the warm worker"
    spoiled = [
        record
        for record in history.in_state(State.DONE)
        if record.params["MODEL.HEAD.NAME"] == "simple_head_module"
        and any(
            other.params["MODEL.HEAD.NAME"] == "spoiling_head" and pids.get(other.number) == pids[record.number]
            for other in history.in_state(State.DONE)
            if other.number < record.number
        )
    ]
    assert spoiled, "the seed must give an honest trial after a spoiling one in the same process"
    for record in spoiled:
        assert train_again(folder / "trials" / record.name, record) == without_times(record.rows)
    first = next(r for r in history.in_state(State.DONE) if r.params["MODEL.HEAD.NAME"] == "spoiling_head")
    log = (folder / "trials" / first.name / "train.log").read_text()
    assert f"built in {tmp_path}\n" in log, "relative paths are those of a training by hand"
    assert "\na child process speaks\n" in log

    failed = history.in_state(State.FAILED)
    raised = [r for r in failed if r.params["MODEL.HEAD.NAME"] == "raising_head"]
    diverged = [r for r in failed if r not in raised]
    assert raised and diverged and len(failed) + len(history.in_state(State.DONE)) == 8
    for record in raised:
        assert record.reason == f"RuntimeError: this head always raises (on {platform.node()})"
        assert "Traceback" in (folder / "trials" / record.name / "train.log").read_text()
    for record in diverged:
        assert "epoch 1: train_loss is nan" in record.reason
    printed = capsys.readouterr().out
    assert f"this head always raises (on {platform.node()}) (log: experiments/tiny_space/trials/" in printed
    alone = f"run trial {failed[0].number}, which failed, alone: python -m trainable.train -o experiments/tiny_space-"
    assert alone in printed
    assert load_cfg(folder / "trials" / failed[0].name / "results" / "config.yaml")
    assert "Traceback" not in printed


def test_when_no_trial_finishes_in_time_the_status_is_3(ray_address, tmp_path, capsys):
    space = write_space(tmp_path, RATE, "num_samples: 2")
    assert main(["--space", str(space), "--address", ray_address, "-o", "out", "--time-budget", "0.01s"]) == 3
    captured = capsys.readouterr()
    assert "time budget used up" in captured.out
    assert "no trial gave a result" in captured.out
    assert not Path("out/best.yaml").exists()


@contextlib.contextmanager
def interrupted(epochs: int, folder: Path, *numbers: signal.Signals) -> Iterator[None]:
    """Sends this process signals when the search in a folder has reported so many epochs and a trial is within one.

    At a rung it might wait, and none run until the next has started.
    """

    def is_time(history: History) -> bool:
        between_rungs = [r for r in history.in_state(State.RUNNING) if len(r.rows) not in (0, 1, 3)]
        return reports(history) >= epochs and bool(between_rungs)

    def send() -> None:
        deadline = time.monotonic() + 300
        while not is_time(History(EventLog(folder / "events.jsonl").read())):
            if time.monotonic() > deadline:
                return
            time.sleep(0.05)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.3)

    sender = threading.Thread(target=send)
    sender.start()
    yield
    sender.join()


def reports(history: History) -> int:
    return sum(len(record.rows) for record in history.trials.values())


def test_a_search_goes_on_after_ctrl_c(ray_address, tmp_path, capsys, monkeypatch):
    space = write_space(tmp_path, RATE, "num_samples: 6", MODEL__BACKBONE__NAME="slow_tiny")  # to be interrupted
    folder = tmp_path / "out"
    # one trial at a time: each of the searches then waits for one worker that imports torch, not for two
    start = ["--space", str(space), "--address", ray_address, "-o", "out", "--cpus-per-trial", "2", "NUM_THREADS", "1"]

    with interrupted(3, folder, signal.SIGINT):
        assert main(start) == 130
    assert "resume with: python -m search.run --resume -o out" in capsys.readouterr().out
    before = History(EventLog(folder / "events.jsonl").read())
    assert (folder / "results.csv").exists() and (folder / "best.yaml").exists()
    assert any(record.state == "interrupted" for record in before.trials.values())

    with open(folder / "events.jsonl", "a") as file:
        file.write('{"kind": "trial_re')  # as if it had died while writing

    text = space.read_text()
    space.write_text(text.replace("search: {", "search: {seed: 7, "))
    assert main([*start, "--resume"]) == 2
    assert "a search is resumed as it was, but seed was 0 and is 7 now" in capsys.readouterr().err
    space.write_text(text)

    monkeypatch.setenv("SEED", "5")
    assert main([*start, "--resume"]) == 2
    assert "a search is resumed as it was, but SEED was 0 and is 5 now" in capsys.readouterr().err
    monkeypatch.delenv("SEED")

    with interrupted(reports(before) + 2, folder, signal.SIGTERM, signal.SIGINT):
        assert main([*start, "--resume"]) == 130
    printed = capsys.readouterr().out
    assert "(once more: at once)" in printed and "resume with: python -m search.run --resume -o out" in printed
    assert "resumed: " in printed and re.search(
        r"^best so far: .*, val_score 0\.\d{4}: BASE_LR ", printed, re.MULTILINE
    )

    assert main([*start, "--resume"]) == 0
    events = EventLog(folder / "events.jsonl").read()
    history = History(events)
    assert sorted(history.trials) == list(range(6))
    assert all(record.state in ENDED for record in history.trials.values())
    assert len(list((folder / "trials").iterdir())) == 6
    for record in history.trials.values():
        assert [row["epoch"] for row in record.rows] == list(range(1, len(record.rows) + 1)), "twice or lost"
        again = train_again(folder / "trials" / record.name, record)
        assert again == without_times(record.rows)
    for record in before.in_state(*ENDED):
        assert history.trials[record.number].rows[: len(record.rows)] == record.rows
    # ASHA's rungs were there again, and none of those that wait should be promoted
    options = SearchOptions(num_samples=6, scheduler=NamedOptions("asha", {"reduction_factor": 3.0}))
    assert history.in_state(State.WAITING) and not Controller(Space([]), options, EPOCHS, events).has_more()
    commands = json.dumps((folder / "provenance.yaml").read_text())
    assert commands.count("--resume") == 2

    write_as_version_2(folder / "events.jsonl")
    assert main([*start, "--resume", "--num-samples", "8"]) == 0
    longer = History(EventLog(folder / "events.jsonl").read())
    assert sorted(longer.trials) == list(range(8)), "a search that has ended may be extended"
    for record in history.in_state(State.DONE):
        assert longer.trials[record.number].rows == record.rows


def write_as_version_2(path: Path) -> None:
    """Writes the events of a log as the version before did."""
    names = {"done": "trial_done", "waits": "trial_stopped", "stopped": "trial_stopped"}
    lines = []
    for line in path.read_text().splitlines():
        event = json.loads(line)
        data = event["data"]
        if event["kind"] == "search_started":
            event["data"] = {"version": 2, "data_digest": data["data_digest"], "code": data["code"]}
        elif event["kind"] == "trial_ended" and data["state"] in names:
            event["kind"], event["data"] = names[data["state"]], {"unread": data["unread"]}
        elif event["kind"] == "trial_ended":
            is_tried_again = data["state"] == "interrupted"
            event["kind"], event["data"] = "trial_failed", {"reason": "x", "is_tried_again": is_tried_again, "node": ""}
        elif event["kind"] == "trial_reported":
            del data["seconds"]
        if event["kind"] != "worker_ready":
            lines.append(json.dumps(event))
    path.write_text("\n".join([*lines, ""]))


def test_whatever_ends_ray_tune_the_search_can_go_on(ray_address, tmp_path, capsys, monkeypatch):
    space = write_space(tmp_path, RATE, "num_samples: 4", MODEL__SOLVER__TOTAL_EPOCHS="1")
    start = ["--space", str(space), "--address", ray_address, "-o", "out", "--cpus-per-trial", "2", "NUM_THREADS", "1"]

    with monkeypatch.context() as patch:  # everything is there but the first event
        patch.setattr(EventLog, "append", lambda log, event: os.kill(os.getpid(), signal.SIGTERM))
        assert main(start) == 130
    assert "resume with: python -m search.run --resume -o out" in capsys.readouterr().out
    assert not SearchFolder("out").events.exists()

    next_trial = Controller.next_trial
    with monkeypatch.context() as patch:
        patch.setattr(Controller, "next_trial", lambda c: next_trial(c) if len(c.history.trials) < 2 else 1 / 0)
        assert main([*start, "--resume"]) == 2
    captured = capsys.readouterr()
    assert "division by zero (see out/error.log)" in captured.out and "resume with: " in captured.out
    assert "Traceback" not in captured.out + captured.err and "Traceback" in Path("out/error.log").read_text()
    assert len(pd.read_csv("out/results.csv")) < 4

    with RunFolder("out").locked(), monkeypatch.context() as patch:
        patch.setitem(sys.modules, "search.session", None)  # refused before it is imported, and torch and Ray with it
        assert main([*start, "--resume"]) == 2
    assert "another process is at work in this folder" in capsys.readouterr().err

    assert main([*start, "--resume"]) == 0
    assert pd.read_csv("out/results.csv")["state"].tolist() == ["done"] * 4

    best = Path("out/best.yaml").read_bytes()
    Path("out/best.yaml").unlink()  # whatever is missing is made again
    capsys.readouterr()
    assert main(["--resume", "-o", "out", "--address", "127.0.0.1:1"]) == 0, "no Ray is asked for"
    assert Path("out/best.yaml").read_bytes() == best
    printed = capsys.readouterr().out
    assert "nothing is left to run: Ray is not started" in printed and "\nbest: trial " in printed


def test_when_nothing_beats_the_base_that_is_said_and_best_yaml_is_the_base(ray_address, tmp_path, capsys):
    useless = "MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-9, 1e-8]}"  # the base has 0.001
    space = write_space(tmp_path, useless, "num_samples: 3, reference: true", MODEL__SOLVER__TOTAL_EPOCHS="4")
    assert main(["--space", str(space), "--address", ray_address, "-o", "out"]) == 0
    printed = capsys.readouterr().out
    assert "\n\nno trial is better than the base config, val_score 0." in printed
    assert "\nbest: the base config, " in printed and "\nretrain the best, which is the base: " in printed
    folder = SearchFolder("out")
    history = History(EventLog(folder.events).read())
    reference = history.reference()
    assert reference and reference.state == "done" and len(reference.rows) == 4 and reference.number == 3
    table = pd.read_csv(folder.results_csv)
    assert list(table["is_reference"]) == [False, False, False, True]
    assert (table["over_reference"][:3].dropna() < 0).all() and table["over_reference"][3] == 0
    assert table["MODEL.SOLVER.OPTIMIZER.BASE_LR"][3] == 0.001
    header, verdict, *_ = folder.best.read_text().splitlines()
    assert header.startswith("# The base config of this search: 0003_") and verdict.startswith("# no trial is better")
    assert load_cfg(folder.best, with_environment=False) == load_cfg(
        folder.trials / reference.name / "results" / "config.yaml", with_environment=False
    )
    assert train_best_elsewhere(folder.best, tmp_path / "best") == without_times(reference.rows)


def test_a_base_that_trains_is_no_result_where_all_samples_fail(ray_address, tmp_path, capsys):
    heads = "MODEL.HEAD.NAME: {choice: [raising_head, simple_head_kaiming]}, " + RATE
    space = write_space(tmp_path, heads, "num_samples: 2, reference: true", MODEL__SOLVER__TOTAL_EPOCHS="1")
    space.write_text(f"{space.read_text()}constraints: [\"MODEL.HEAD.NAME == 'raising_head'\"]\n")
    assert main(["--space", str(space), "--address", ray_address, "-o", "out"]) == 3
    assert "no trial gave a result: best.yaml is the base" in capsys.readouterr().out


def test_a_search_of_a_version_without_a_reference_resumes_without_one(ray_address, tmp_path, capsys):
    space = write_space(tmp_path, RATE, "num_samples: 2, reference: false", MODEL__SOLVER__TOTAL_EPOCHS="2")
    words = ["--address", ray_address, "-o", "out"]
    assert main(["--space", str(space), *words]) == 0
    kept = Path("out/space.yaml")
    kept.write_text(re.sub("^  (reference|confirm): .*\n", "", kept.read_text(), flags=re.MULTILINE))
    assert "reference" not in kept.read_text() and "confirm" not in kept.read_text()
    space.write_text(space.read_text().replace("reference: false", "seed: 0"))
    for samples in (3, 20):  # the first resume writes the folder's files anew
        assert main(["--space", str(space), "--resume", "--num-samples", str(samples), *words]) == 0
        history = History(EventLog("out/events.jsonl").read())
        assert sorted(history.trials) == list(range(samples)) and history.reference() is None
    assert "the base config" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "none.yaml"], "none.yaml: no such file"),
        ([], "Give a space file"),
        (["--space", "SPACE", "-o", "used"], "used: the folder is not empty"),
        (["--space", "SPACE", "--resume"], "nothing to resume"),
        (["--space", "SPACE", "MODEL.HEAD.NAME", "simple_haed"], "Did you mean 'simple_head_module'?"),
        (
            ["--space", "SPACE", "MODEL.BACKBONE", "resnet_18", "USER_MODULES", "[]"],
            "command line: MODEL.BACKBONE.NAME: unknown backbone 'resnet_18'. Did you mean 'resnet18'?",
        ),
        (
            ["--space", "SPACE", "DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "x"],
            "command line: DATASET.PATH_DATA_RAW: there is no folder",
        ),
        (["--space", "SPACE", "USER_MODULES", "[no_module]"], "command line: USER_MODULES: no_module: no such module"),
        (["--space", "SPACE", "MODEL.HEAD.NAME", "unbuildable_head"], "this head cannot be built ("),
        (["--space", "SPACE", "MODEL.HEAD.NAME", "bare_head"], "bare_head must return a list of logits"),
        (
            ["--space", "SPACE", "MODEL.HEAD.INPUT_DIM", "7"],
            "command line: MODEL.HEAD.INPUT_DIM: found 7, but backbone tiny gives 8",
        ),
        (["--space", "SPACE", "--address", "127.0.0.1:1"], "no Ray cluster answers"),
        (
            ["--space", "SPACE", "--address", "127.0.0.1:1", "--no-dashboard"],
            "--no-dashboard is for the Ray that a search",
        ),
        (["--space", "SPACE", "--cpus-per-trial", "64", "--address", "RAY"], "no node has as much"),
        (["--space", "SPACE", "--cpus-per-trial", "999"], "a trial asks for 999 CPU, but this machine has "),
        (["--space", "SPACE", "--cpus-per-trial", "999", "--dry-run"], "a trial asks for 999 CPU"),
        (["--space", "SPACE", "--dry-run", "--json"], "--json: prints what happens in a search"),
    ],
)
def test_mistakes_write_nothing(arguments, message, tmp_path, capsys, request):
    space = write_space(tmp_path, RATE)
    Path("used").mkdir()
    Path("used/file").touch()
    before = sorted(tmp_path.rglob("*"))
    address = request.getfixturevalue("ray_address") if "RAY" in arguments else ""
    assert main([{"SPACE": str(space), "RAY": address}.get(word, word) for word in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert sorted(tmp_path.rglob("*")) == before


def test_mistakes_of_all_sources_are_told_at_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MODEL__HEAD__DROPUOT", "0.1")
    space = write_space(tmp_path, "MODEL.HEAD.DROPOUT: {unifrom: [0, 1]}", DATASET__BATCH_SIZE="0")
    (tmp_path / "other.yaml").write_text("SEEED: 1\n")
    assert main(["--space", str(space), "SEED", "x"]) == 2
    told = capsys.readouterr().err
    for word in ("unifrom", "DATASET.BATCH_SIZE", "DROPUOT", "command line: SEED"):
        assert word in told, word
    assert main(["--space", str(space), "--cfg", str(tmp_path / "other.yaml")]) == 2
    told = capsys.readouterr().err
    assert "SEEED" in told and "BATCH_SIZE" not in told
    assert main(["--space", str(space), "--cfg", "missing.yaml"]) == 2
    told = capsys.readouterr().err
    assert "unifrom" in told and "missing.yaml" in told
    assert main(["--space", str(write_space(tmp_path, RATE)), "--cfg", "missing.yaml", "SEED", "x"]) == 2
    told = capsys.readouterr().err
    for word in ("missing.yaml", "DROPUOT", "command line: SEED"):
        assert word in told, word
    Path("used").mkdir()
    Path("used/file").touch()
    assert main(["--space", str(space), "-o", "used"]) == 2
    told = capsys.readouterr().err
    assert "DROPUOT" in told and "used: the folder is not empty" in told


def test_a_dry_run_shows_samples_and_writes_nothing(tmp_path, capsys):
    space = write_space(tmp_path, f"{RATE}, MODEL.HEAD.NAME: {{choice: [simple_head_module, simple_head_kaiming]}}")
    before = sorted(tmp_path.rglob("*"))
    assert main(["--space", str(space), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("# sample") == 5
    whole, *samples = yaml.safe_load_all(printed)
    assert set(whole) == {"base", "search", "space"}
    assert [set(sample) for sample in samples] == [{"MODEL.SOLVER.OPTIMIZER.BASE_LR", "MODEL.HEAD.NAME"}] * 5
    assert "#   MODEL.BACKBONE.NAME: 'tiny'" in printed
    assert "loguniform: [0.0001, 0.1]" in printed
    assert "# combinations: unlimited" in printed
    assert "MODEL.HEAD.NAME:" not in printed.split("base:")[0], "is none of what all trials have"
    assert "# rungs: trials are compared after epochs [1, 3] of 9" in printed
    assert sorted(tmp_path.rglob("*")) == before


def test_the_parts_of_users_are_where_the_tests_say():
    assert Path(TINY).is_relative_to(ROOT)


def test_the_notebook_reads_data_and_results(searched, tmp_path):
    shutil.copytree(searched[0], tmp_path / "experiments" / "head")
    notebook = nbformat.read(ROOT / "notebooks" / "explore.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "is kept without outputs"
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert "1797 images, " in "".join(output.get("text", "") for output in shown)
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    assert "MODEL.HEAD.DROPOUT" in str(shown) and "confused_with" in str(shown)
