"""Which failures are a trial's own, which are tried again, and which end the search."""

import errno
import os
import signal
import subprocess
import sys

import pytest
import torch

from configs.errors import ConfigError
from search.engine.stopping import failing_alike
from search.record.events import SearchStarted, TrialEnded, TrialStarted
from search.record.history import History
from search.record.outcomes import Outcome, State
from search.run import main
from search.trials.faults import outcome_of
from search.trials.watchdog import hanging
from tests.conftest import ROOT
from trainable.run_folder import FolderInUseError


class UsersError(RuntimeError):
    """Of a user's own."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ConfigError("no such part"), Outcome.FAILED),
        (ZeroDivisionError(), Outcome.FAILED),
        (MemoryError(), Outcome.EXTERNAL_FAILURE),
        (torch.OutOfMemoryError("CUDA out of memory"), Outcome.EXTERNAL_FAILURE),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700), Outcome.EXTERNAL_FAILURE),
        (UsersError("CUDA error: so it says in a message of the user's"), Outcome.FAILED),
        (RuntimeError("CUDA error: device-side assert triggered"), Outcome.EXTERNAL_FAILURE),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:113] DefaultCPUAllocator: can't allocate memory"),
            Outcome.EXTERNAL_FAILURE,
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), Outcome.EXTERNAL_FAILURE),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), Outcome.EXTERNAL_FAILURE),
        (FolderInUseError("another process is at work in this folder"), Outcome.EXTERNAL_FAILURE),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), Outcome.EXTERNAL_FAILURE),
        *(
            (OSError(number, os.strerror(number), "latest.pt"), Outcome.EXTERNAL_FAILURE)
            for number in (errno.EIO, errno.ENOENT)
        ),
        *(
            (OSError(number, os.strerror(number), "latest.pt"), Outcome.BLOCKS_SEARCH)
            for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
        ),
    ],
    ids=repr,
)
def test_an_error_tells_what_kind_of_failure_it_is(error, outcome):
    assert outcome_of(error) == outcome


def test_a_log_tells_that_this_try_hung(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("epoch 1\nTimeout (0:00:04)!\nThread 0x1 (most recent call first):\n")
    assert hanging(log, 0) == "it reported nothing for 0:00:04 and was ended; its log says where it hung"
    assert hanging(log, log.stat().st_size) is None, "an earlier try hung"


def failed(*reasons: str) -> History:
    history = History([SearchStarted()])
    for number, reason in enumerate(reasons):
        history.add(TrialStarted(number, "abc", {}, {}))
        history.add(TrialEnded(number, State.FAILED if reason else State.DONE, reason))
    return history


@pytest.mark.parametrize(
    "reason",
    [
        "ValueError: 3{n} is not 4",
        "OSError: trials/000{n}_a{n}b2c3/latest.pt: input/output error",
        "OutOfMemoryError: CUDA out of memory. Tried to allocate {n}.00 {unit}.",
    ],
)
def test_failures_are_alike_whatever_the_trials_numbers(reason):
    reasons = [reason.format(n=n, unit="MiB" if n % 2 else "GiB") for n in range(4)]
    assert failing_alike(failed(*reasons)) == f"stopped, since 4 trials in a row failed alike: {reasons[-1]}"
    assert failing_alike(failed("", *reasons)) is None, "some trials work: four may be chance"
    assert failing_alike(failed(*reasons[:3], "something else")) is None


WAITING = """
import sys, time
from search.trials.faults import outcome_of
from search.trials.watchdog import watching
with watching(sys.stderr, 0.2) as watchdog:
    watchdog.pause()
    time.sleep(0.6)
    print("waited", flush=True)
    watchdog.count()
    time.sleep(60)
"""


def test_a_trial_that_waits_for_an_answer_does_not_hang():
    done = subprocess.run([sys.executable, "-c", WAITING], capture_output=True, text=True, cwd=ROOT, timeout=50)
    assert done.stdout == "waited\n" and "Timeout (0:00:00.200000)!" in done.stderr and done.returncode == 1


def test_sigterm_while_a_space_is_read_is_as_ctrl_c(monkeypatch, capsys):
    monkeypatch.setattr("search.run.read_space", lambda path: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["--space", "s.yaml"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is before
