"""Searches on fractions of a GPU: exactness, memory, and what goes wrong there."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.events import EpochReported
from search.record.history import History
from search.record.outcomes import State
from search.run import main
from tests.conftest import ROOT, TINY, without_times
from tests.end_to_end.searches import RATE, most_at_a_time, train_again, train_best_elsewhere, workers, write_space

pytestmark = pytest.mark.gpu

CUDA_PARTS = ROOT / "tests" / "parts" / "cuda.py"
QUARTER = "resources: {cpu: 0.5, gpu: 0.25}"


def search(address: str, space: str, options: str, **changes: str) -> tuple[SearchFolder, History]:
    """Runs a search with deterministic kernels, and returns its folder and what happened."""
    changes = {"DETERMINISTIC": "true", "USER_MODULES": f"[{TINY}, {CUDA_PARTS}]", **changes}
    path = write_space(Path(), space, options, **changes)
    assert main(["--space", str(path), "--address", address]) == 0
    folder = SearchFolder("experiments/tiny_space")
    return folder, History(EventLog(folder.events).read())


def log_of(folder: SearchFolder, history: History, number: int) -> str:
    return (folder.trials / history.trials[number].name / "train.log").read_text()


def test_four_trials_share_a_gpu_and_train_again_to_the_same_numbers(ray_address, tmp_path, monkeypatch):
    folder, history = search(
        ray_address,
        f"{RATE}, MODEL.HEAD.DROPOUT: {{uniform: [0, 0.5]}}, MODEL.SOLVER.AMP: {{choice: [none, bf16, fp16]}}",
        f"num_samples: 8, {QUARTER}",
        MODEL__BACKBONE__NAME="slow_tiny",  # so that all four have something to do when the last of them has started
    )
    events = EventLog(folder.events).read()
    assert len(workers(events)) == most_at_a_time(events) == 4
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # no need to be slow any more
    for number, record in history.trials.items():
        assert "training on cuda" in log_of(folder, history, number)
        assert train_again(folder.trials / record.name, record) == without_times(record.rows), record.name
    rows = train_best_elsewhere(folder.best, tmp_path / "best")
    best = history.best_trial("val_score")
    assert best and rows[: len(best.rows)] == without_times(best.rows)
    assert {record.params["MODEL.SOLVER.AMP"] for record in history.trials.values()} == {"none", "bf16", "fp16"}
    assert f'"device": "{torch.cuda.get_device_name()}"' in folder.best.read_text()


def test_trials_that_ask_for_no_gpu_see_none(ray_address, tmp_path):
    folder, history = search(ray_address, RATE, "num_samples: 2, resources: {cpu: 1, gpu: 0}")
    for number in history.trials:
        assert "training on cpu" in log_of(folder, history, number)


def test_a_trial_that_wants_more_than_its_share_fails_alone_and_nothing_of_a_trial_stays(ray_address, tmp_path):
    folder, history = search(
        ray_address,
        f"{RATE}, MODEL.HEAD.NAME: {{choice: [large_head, hungry_head]}}",
        "num_samples: 8, sampler: random, scheduler: none, resources: {cpu: 1, gpu: 0.25}, max_failures: 1",
        MODEL__SOLVER__TOTAL_EPOCHS="1",
    )
    failed, done = history.in_state(State.FAILED), history.in_state(State.DONE)
    assert {record.params["MODEL.HEAD.NAME"] for record in failed} == {"hungry_head"}
    assert {record.params["MODEL.HEAD.NAME"] for record in done} == {"large_head"}
    for record in failed:
        assert re.match(r"batch 32 at 8 px needs more than 0\.25 of this GPU", record.reason), record.reason
        assert log_of(folder, history, record.number).count("needs more than") == 1, "it is not tried again"
    assert len(workers(EventLog(folder.events).read())) <= 2, "the workers stay warm"
    logs = [log_of(folder, history, record.number) for record in done]
    before = [int(number) for log in logs for number in re.findall(r"allocated before: (\d+)", log)]
    assert len(before) >= 2 and max(before) < 2**28, "no ballast of the trial before; cuBLAS keeps its own"
    assert all(
        re.search(r"this trial may take \d+\.\d GiB: 0\.25 of the .* had free when the search", log) for log in logs
    )
    assert all(re.search(r"at most 0\.\d GiB were allocated", log) for log in logs), (
        "half a GiB of ballast, and a little"
    )


def test_memory_that_another_process_has_taken_is_asked_for_again(ray_address, tmp_path):
    try:
        folder, history = search(
            ray_address,
            RATE,
            "num_samples: 1, scheduler: none, resources: {cpu: 1, gpu: 0.5}, max_failures: 1",
            MODEL__SOLVER__TOTAL_EPOCHS="1",
            MODEL__HEAD__NAME="crowded_head",
        )
    finally:
        (tmp_path / "leave").touch()  # whatever came of it: the next test needs the memory
    (record,) = history.in_state(State.DONE)
    assert record.failures == 1
    assert "OutOfMemoryError: CUDA out of memory" in log_of(folder, history, record.number)


def test_after_an_error_of_the_gpu_another_process_goes_on(ray_address, tmp_path):
    folder, history = search(
        ray_address,
        f"{RATE}, MODEL.HEAD.NAME: {{choice: [simple_head_module, asserting_head]}}",
        "num_samples: 6, sampler: random, scheduler: none, resources: {cpu: 2, gpu: 1}, max_failures: 0",
        MODEL__SOLVER__TOTAL_EPOCHS="1",
    )
    failed, done = history.in_state(State.FAILED), history.in_state(State.DONE)
    assert {record.params["MODEL.HEAD.NAME"] for record in failed} == {"asserting_head"}
    assert {record.params["MODEL.HEAD.NAME"] for record in done} == {"simple_head_module"}
    assert len(failed) + len(done) == 6 and all("CUDA error" in record.reason for record in failed)
    pids = {event.trial: event.pid for event in EventLog(folder.events).read() if isinstance(event, EpochReported)}
    last = failed[-1].number
    before, after = ({pid for n, pid in pids.items() if is_side(n)} for is_side in (last.__gt__, last.__lt__))
    assert before and after, "the seed must give honest trials on both sides of one that fails"
    assert not before & after, "the process that cannot use its GPU any more is another"
    for record in done:
        assert train_again(folder.trials / record.name, record) == without_times(record.rows)


def test_a_search_that_was_killed_goes_on_to_the_same_numbers(ray_address, tmp_path, monkeypatch):
    slow = {"MODEL__BACKBONE__NAME": "slow_tiny", "MODEL__SOLVER__AMP": "fp16"}  # to be killed in time
    space = write_space(Path(), RATE, f"num_samples: 6, {QUARTER}", DETERMINISTIC="true", **slow)
    words = ["--space", str(space), "--address", ray_address, "-o", "killed"]
    folder = SearchFolder("killed")
    with subprocess.Popen([sys.executable, "-m", "search.run", *words], stdout=subprocess.DEVNULL) as driver:
        while sum(isinstance(event, EpochReported) for event in EventLog(folder.events).read()) < 10:
            assert driver.poll() is None
            time.sleep(0.02)
        driver.kill()
    assert main([*words, "--resume"]) == 0
    history = History(EventLog(folder.events).read())
    assert sorted(history.trials) == list(range(6))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    for record in history.trials.values():
        assert [row["epoch"] for row in record.rows] == list(range(1, len(record.rows) + 1))
        assert train_again(folder.trials / record.name, record) == without_times(record.rows)
