"""Searches whose processes are killed at seeded moments, and what is left of them in the end.

CHAOS_RUNS=50 python -m pytest tests/end_to_end/test_chaos.py (make chaos) does the same as the suite, more often.
"""

import contextlib
import gc
import json
import multiprocessing
import os
import platform
import random
import re
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
import yaml

from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.events import EpochReported, TrialStarted
from search.record.history import History
from search.record.outcomes import ENDED, State
from search.run import main
from tests.conftest import ROOT, TINY, without_times, write_pictures, write_tiny
from trainable.run_folder import RunFolder
from yacstune import PACKAGES

RUNS = int(os.environ.get("CHAOS_RUNS", "2"))
EPOCHS, TRIALS = 4, 6

# Where the fault happens, and how often that place is passed at most before; the suite tries the first ones.
POINTS = {
    "event": 30,  # driver: in the middle of a line of events.jsonl
    "checkpoint": 12,  # worker: in the middle of a checkpoint
    "rung": 12,  # driver: a trial has reached a rung, which nobody knows yet
    "promotion": 1,  # driver: a trial that waits may go on, which nobody knows yet
    "results": 2,  # driver: in the middle of results.csv, its parquet or best.yaml
    "metrics": 12,  # worker: after the checkpoint, before metrics.csv
    "best": 6,  # worker: before best.pt is replaced
    "epoch": 12,  # worker: an epoch is trained, its checkpoint not begun
    "step": 100,  # worker: within an epoch
}

in_make_chaos = pytest.mark.skipif(len(POINTS) >= RUNS, reason="make chaos runs it")

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["search.session"])  # a driver that is forked need not import torch


def run_driver(arguments: list[str], output: Path, environment: dict[str, str] | None) -> None:
    """What a driver of the tests does: the command, its output in a file.

    Args:
        arguments: of search.run.
        output: a file, or a pipe that has a name.
        environment: variables of a driver that starts its own Ray, in a process group of its own; None: it does not.
    """
    if environment is not None:
        os.setsid()
        os.environ.update(environment)
        os.chdir(output.parent)
        sys.path.insert(0, str(output.parent))  # as `python -m` does
        del os.environ["RAY_AUTH_TOKEN"]  # of the Ray that the tests share
    gc.freeze()  # what was imported before the fork need not be looked through
    with open(output, "a", buffering=1) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        status = main(arguments)
    os._exit(status)


class Driver:
    """A search in a process of its own."""

    def __init__(self, arguments: list[str], output: Path, environment: dict[str, str] | None = None):
        self._output = output
        self._process = processes.Process(target=run_driver, args=(arguments, output, environment))
        self._process.start()
        assert self._process.pid
        self.pid: int = self._process.pid

    def is_running(self) -> bool:
        return self._process.is_alive()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits while it runs."""
        deadline = time.monotonic() + 300
        while not condition():
            assert self.is_running() and time.monotonic() < deadline, self._output.read_text()
            time.sleep(0.05)

    def wait_for_reports(self, folder: SearchFolder, reports: int) -> None:
        self.wait_until(
            lambda: sum(isinstance(event, EpochReported) for event in EventLog(folder.events).read()) >= reports
        )

    def wait(self) -> int:
        """Returns its exit status, negative for the signal that killed it."""
        self._process.join(timeout=300)
        assert self._process.exitcode is not None, f"it hangs: {self._output.read_text()[-3000:]}"
        return self._process.exitcode


def drive(arguments: list[str], output: Path, meanwhile: Callable[[int], None] = lambda pid: None) -> int:
    """Runs a search in a process of its own and returns its exit status."""
    driver = Driver(arguments, output)
    meanwhile(driver.pid)
    return driver.wait()


def write_search(folder: Path, fault: dict | None = None, **words: str) -> list[str]:
    """Writes a space over the tiny network, and the fault beside the user's module; returns the arguments."""
    folder.mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "parts" / "faults.py", folder / "faults.py")
    if fault:
        (folder / "fault.json").write_text(json.dumps(fault))
    modules = f"[{TINY}, {folder / 'faults.py'}]"
    write_tiny(folder / "base.yaml", {"MODEL.SOLVER.TOTAL_EPOCHS": str(EPOCHS), "USER_MODULES": modules})
    asha = "{asha: {reduction_factor: 2}}"
    options = {"num_samples": str(TRIALS), "scheduler": asha, "sampler": "{tpe: {n_startup_trials: 2}}", **words}
    second = "MODEL.HEAD.DROPOUT"
    if "pbt" in options["scheduler"]:  # it brings its own sampler, and changes what can change in a model
        del options["sampler"]
        second = "MODEL.SOLVER.OPTIMIZER.WEIGHT_DECAY"
    space = f"MODEL.SOLVER.OPTIMIZER.BASE_LR: {{loguniform: [1e-4, 1]}}, {second}: {{uniform: [0, 0.5]}}"
    if "kinds" in options:
        space += ", MODEL.SOLVER.LOSS.NAME: {choice: [softmax_cross_entropy, weighted_focal_loss]}"
    (folder / "s.yaml").write_text(
        "base: base.yaml\n"
        f"search: {{{', '.join(f'{word}: {value}' for word, value in options.items())}}}\n"
        f"space: {{{space}}}\n"
    )
    # one trial at a time, so that what is sampled does not depend on which of several ends first
    return ["--space", str(folder / "s.yaml"), "-o", str(folder / "out"), "--cpus-per-trial", "2", "NUM_THREADS", "1"]


@pytest.fixture(scope="module")
def undisturbed(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> SearchFolder:
    """The same search, to which nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    arguments = [*write_search(folder), "--address", ray_address]
    assert drive(arguments, folder / "output") == 0, (folder / "output").read_text()
    return SearchFolder(folder / "out")


def table(folder: SearchFolder) -> pd.DataFrame:
    return pd.read_csv(folder.results_csv).drop(columns=["seconds", "reason"])


def check(folder: SearchFolder, undisturbed: SearchFolder, trials: int = TRIALS + 1) -> None:
    """What must hold, whatever has happened, beside `check_whole`: it is as if nothing had."""
    check_whole(folder, trials)
    pd.testing.assert_frame_equal(table(folder), table(undisturbed))
    history, calm = (History(EventLog(one.events).read()) for one in (folder, undisturbed))
    for number, record in history.trials.items():
        assert without_times(record.rows) == without_times(calm.trials[number].rows)
    best, calm_best = (yaml.safe_load(one.best.read_text()) for one in (folder, undisturbed))
    assert best | {"USER_MODULES": []} == calm_best | {"USER_MODULES": []}


def check_whole(folder: SearchFolder, trials: int = TRIALS + 1) -> None:
    """All trials, the reference among them, have ended, with their epochs, each trained and reported once."""
    events = EventLog(folder.events).read()
    history = History(events)
    assert sorted(history.trials) == list(range(trials))
    assert len(list(folder.trials.iterdir())) == trials, "no folder is left over"
    assert {event.trial for event in events if isinstance(event, TrialStarted)} == set(history.trials)
    reported = Counter((e.trial, e.metrics["epoch"]) for e in events if isinstance(e, EpochReported))
    assert set(reported.values()) == {1}, "no epoch is reported twice"
    for record in history.trials.values():
        assert record.state in ENDED
        run = RunFolder(folder.trials / record.name)
        assert without_times(run.read_metrics()) == without_times(record.rows)
        # an epoch is logged when its checkpoint is on disk: none is trained again after that
        logged = re.findall(r"epoch (\d+): train_loss", run.log.read_text())
        assert len(logged) == len(set(logged)), f"trained again: {logged}"
        assert not list(run.path.rglob(".*.tmp"))
    assert not list(folder.path.glob(".*.tmp"))


@pytest.mark.parametrize("seed", range(RUNS))
def test_a_kill_at_a_named_point_changes_nothing(seed, ray_address, undisturbed, tmp_path):
    point = list(POINTS)[seed % len(POINTS)]
    fault = {"point": point, "count": random.Random(seed).randint(0, POINTS[point])}
    arguments = [*write_search(tmp_path / "s", fault), "--address", ray_address]
    output = tmp_path / "s" / "output"
    status = drive(arguments, output)
    assert (tmp_path / "s" / "has_happened").exists(), f"nobody came {fault['count']} times to {point}"
    if status:  # it was the driver
        assert status == -signal.SIGKILL, output.read_text()
        assert drive([*arguments, "--resume"], output) == 0, output.read_text()
    check(SearchFolder(tmp_path / "s" / "out"), undisturbed)


# Searches of other kinds, and how many trials they have in the end.
KINDS = {
    "pbt": ({"scheduler": "{pbt: {perturbation_interval: 1}}"}, TRIALS + 1),
    "kinds": ({"kinds": "[MODEL.SOLVER.LOSS.NAME]"}, TRIALS + 1),
    "confirm": ({"confirm": "{top: 1, seeds: 2}", "stop": "{patience: 3}"}, None),
}


@pytest.fixture(scope="module")
def calm(ray_address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, SearchFolder]:
    """A search of each of the other kinds, to which nothing happens."""
    folders = {}
    for kind, (words, _) in KINDS.items():
        folder = tmp_path_factory.mktemp(kind)
        arguments = [*write_search(folder, **words), "--address", ray_address]
        assert drive(arguments, folder / "output") == 0, (folder / "output").read_text()
        folders[kind] = SearchFolder(folder / "out")
    return folders


@in_make_chaos
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["best", "metrics", "checkpoint", "event", "step"])
def test_a_kill_in_another_kind_of_search_changes_nothing(kind, point, ray_address, calm, tmp_path):
    count = random.Random(kind + point).randint(0, POINTS[point])
    words, trials = KINDS[kind]
    arguments = [*write_search(tmp_path / "s", {"point": point, "count": count}, **words), "--address", ray_address]
    output = tmp_path / "s" / "output"
    if drive(arguments, output):
        assert drive([*arguments, "--resume"], output) == 0, output.read_text()
    assert (tmp_path / "s" / "has_happened").exists()
    check(SearchFolder(tmp_path / "s" / "out"), calm[kind], trials or len(table(calm[kind])))


@in_make_chaos
@pytest.mark.parametrize("seed", range(RUNS // 5))
def test_kills_at_any_moment_change_nothing(seed, ray_address, undisturbed, tmp_path):
    rng = random.Random(seed)
    arguments = [*write_search(tmp_path / "s"), "--address", ray_address]
    output = tmp_path / "s" / "output"

    def kill_later(pid: int) -> None:
        time.sleep(rng.uniform(2, 12))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    statuses = [drive(arguments, output, kill_later)]
    while statuses[-1] and len(statuses) < 6:
        has_begun = SearchFolder(tmp_path / "s" / "out").is_search()
        resumed = [*arguments, *(["--resume"] if has_begun else [])]
        statuses.append(drive(resumed, output, kill_later if len(statuses) < 3 else lambda pid: None))
    assert statuses[-1] == 0, output.read_text()
    check(SearchFolder(tmp_path / "s" / "out"), undisturbed)


def own_ray_search(folder: Path, fault: dict | None = None, environment: dict | None = None, **words: str) -> Driver:
    """Starts a search that starts a Ray of its own, beside files of a user that have our packages' names."""
    arguments = write_search(folder, fault, **words)
    for name in PACKAGES:
        (folder / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n")
    return Driver(arguments, folder / "output", environment or {})


@in_make_chaos
def test_a_clusters_sigterm_to_all_processes_is_as_kind_as_ctrl_c(tmp_path):
    driver = own_ray_search(tmp_path / "s")
    folder, output = SearchFolder(tmp_path / "s" / "out"), tmp_path / "s" / "output"
    driver.wait_for_reports(folder, 2)
    family = psutil.Process(driver.pid).children(recursive=True)
    for process in (*family, psutil.Process(driver.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
    assert driver.wait() == 130, output.read_text()
    assert "resume with: python -m search.run --resume -o" in output.read_text()
    assert folder.results_csv.exists() and "Traceback" not in output.read_text()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left, "no process is left behind"


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_process(tmp_path):
    driver = own_ray_search(tmp_path / "s", {"point": "hang", "count": 3})
    output = tmp_path / "s" / "output"
    driver.wait_until(
        (tmp_path / "s" / "has_happened").exists
    )  # the trial never comes to a report, where it would be stopped
    family = psutil.Process(driver.pid).children(recursive=True)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
    driver.wait_until(lambda: "(once more: at once)" in output.read_text())
    assert driver.is_running()
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.wait() == 130, output.read_text()
    assert "resume with: python -m search.run --resume -o" in output.read_text()
    assert "Traceback" not in output.read_text()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left, "no process is left behind"


def test_a_search_goes_on_when_nobody_reads_what_it_prints(ray_address, undisturbed, tmp_path):
    arguments = [*write_search(tmp_path / "s"), "--address", ray_address]
    os.mkfifo(tmp_path / "pipe")
    driver = Driver(arguments, tmp_path / "pipe")
    with open(tmp_path / "pipe") as pipe:  # closed before the end, as `head` does
        assert any("the first trial has started" in line for line in pipe)
    assert driver.wait() == 0
    check(SearchFolder(tmp_path / "s" / "out"), undisturbed)


def test_a_report_without_its_metric_fails_that_trial_alone(ray_address, tmp_path):
    fault = {"point": "metric", "count": EPOCHS + 1}  # behind the reference
    arguments = write_search(tmp_path / "s", fault, num_samples="3", scheduler="none")
    assert drive([*arguments, "--address", ray_address], tmp_path / "s" / "output") == 0
    rows = pd.read_csv(SearchFolder(tmp_path / "s" / "out").results_csv)
    assert rows["state"].tolist() == ["failed", "done", "done", "done"]
    assert rows["reason"][0] == f"epoch 2: the report has no val_score (on {platform.node()})"


@in_make_chaos
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_raylet_ends_the_search_and_loses_nothing(seed, ray_address, undisturbed, tmp_path):
    driver = own_ray_search(tmp_path / "s")
    folder, output = SearchFolder(tmp_path / "s" / "out"), tmp_path / "s" / "output"
    driver.wait_for_reports(folder, 1 + 2 * seed)
    (raylet,) = (p for p in psutil.Process(driver.pid).children(recursive=True) if p.name() == "raylet")
    raylet.kill()
    assert driver.wait() != 0
    arguments = [*write_search(tmp_path / "s"), "--address", ray_address, "--resume"]
    assert drive(arguments, output) == 0, output.read_text()
    check(folder, undisturbed)


@in_make_chaos
def test_when_ray_ends_workers_for_want_of_memory_that_is_the_reason(tmp_path):
    environment = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "200"}
    driver = own_ray_search(tmp_path / "s", environment=environment, max_failures="0")
    output = tmp_path / "s" / "output"
    assert driver.wait() == 3, output.read_text()
    reason = "Ray ended its worker process, since this machine was running low on memory"
    assert f"stopped, since 4 trials in a row failed alike: {reason}" in output.read_text()


def test_a_hanging_trial_is_ended_and_goes_on(ray_address, undisturbed, tmp_path):
    arguments = write_search(tmp_path / "s", {"point": "hang", "count": 60}, trial_timeout="4s")
    output = tmp_path / "s" / "output"
    assert drive([*arguments, "--address", ray_address], output) == 0, output.read_text()
    printed = output.read_text()
    told = f"it reported nothing for 0:00:04 and was ended; its log says where it hung (on {platform.node()})"
    assert f"{told}; tried again" in printed
    folder = SearchFolder(tmp_path / "s" / "out")
    check(folder, undisturbed)
    assert any(
        "in hang" in log.read_text() or "wrapped" in log.read_text() for log in folder.trials.glob("*/train.log")
    )


def refuse_checkpoints_of_another_format(folder: SearchFolder, resume: list[str], output: Path) -> None:
    """Tries to go on with a checkpoint from another version, and puts the old one back."""
    unfinished = History(EventLog(folder.events).read()).in_state(State.INTERRUPTED, State.RUNNING)
    latest = next(run.latest for run in (RunFolder(folder.trials / r.name) for r in unfinished) if run.latest.exists())
    before = latest.read_bytes()
    torch.save({"format": 99, "sha256": ""}, latest)
    assert drive(resume, output) == 2
    assert f"{latest.name}: has format 99, this version reads format " in output.read_text()
    latest.write_bytes(before)


@pytest.mark.parametrize(
    ("point", "count", "file"),
    [
        ("full", EPOCHS + 5, "latest.pt"),
        pytest.param("full for the driver", 9, "events.jsonl", marks=in_make_chaos),
    ],
)
def test_a_full_disk_halts_the_search_which_goes_on_later(point, count, file, ray_address, undisturbed, tmp_path):
    arguments = [*write_search(tmp_path / "s", {"point": point, "count": count}), "--address", ray_address]
    output = tmp_path / "s" / "output"
    assert drive(arguments, output) == 2
    printed = output.read_text()
    assert re.search(rf"stopped, since no trial can go on: .*{file}: no space left on device", printed), printed
    assert "results could not be written" in printed and "resume with: python -m search.run --resume -o" in printed
    assert "Traceback" not in printed
    (tmp_path / "s" / "disk_is_full").unlink()
    if point == "full":  # else the trial may have reported its last epoch, and has nothing to go on with
        refuse_checkpoints_of_another_format(SearchFolder(tmp_path / "s" / "out"), [*arguments, "--resume"], output)
    assert drive([*arguments, "--resume"], output) == 0, output.read_text()
    check(SearchFolder(tmp_path / "s" / "out"), undisturbed)


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        ("false", r".*/images/1/\d+\.png: cannot be read.* \(log: .*train.log\)"),
        (
            "true",
            "DATASET: the images of image_folder, their labels or their split are not those",
        ),
    ],
)
def test_images_that_vanish_halt_the_search_which_goes_on_when_they_are_back(cache, reason, ray_address, tmp_path):
    words = write_search(tmp_path / "s", {"point": "vanish", "count": 5})
    images = tmp_path / "s" / "images"
    write_pictures(images, "012", each=20)
    data = ["DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", str(images), "DATASET.CACHE", cache]
    data += ["DATASET.PATH_DATA_PROCESSED", str(tmp_path / "processed")]
    arguments, output = [*words, "--address", ray_address, *data], tmp_path / "s" / "output"
    assert drive(arguments, output) == 2
    assert re.search(f"stopped, since no trial can go on: {reason}", output.read_text()), output.read_text()
    assert drive([*arguments, "--resume"], output) == 2
    assert "their labels or their split have changed since; put them back" in output.read_text()
    (tmp_path / "s" / "vanished").rename(images / "1")
    assert drive([*arguments, "--resume"], output) == 0, output.read_text()
    assert "Traceback" not in output.read_text()
    check_whole(SearchFolder(tmp_path / "s" / "out"))


def test_trials_that_all_fail_alike_end_the_search(ray_address, tmp_path, capsys):
    (tmp_path / "s").mkdir()
    arguments = write_search(tmp_path / "s", num_samples="50")
    assert main([*arguments, "--address", ray_address, "MODEL.HEAD.NAME", "raising_head"]) == 3
    printed = capsys.readouterr().out
    assert "stopped, since 4 trials in a row failed alike: RuntimeError: this head always raises" in printed
    assert len(pd.read_csv(SearchFolder(tmp_path / "s" / "out").results_csv)) <= 6
