"""What tests of whole searches share: a space over the tiny network, and training a trial or the best again."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from configs.loader import load_cfg
from search.record.events import EpochReported, Event, TrialEnded, WorkerReady
from search.record.history import TrialRecord
from tests.conftest import without_times, write_tiny
from trainable.fit import fit
from trainable.run_folder import RunFolder

EPOCHS = 9
ASHA = "{asha: {reduction_factor: 3}}"
RATE = "MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1e-1]}"


def write_space(folder: Path, space: str, search: str = "", **changes: str) -> Path:
    """Writes a space over the tiny network, without a reference unless `search` says it.

    Changes are values of config keys, with __ for dots.
    """
    values = {key.replace("__", "."): value for key, value in changes.items()}
    write_tiny(folder / "base.yaml", {"MODEL.SOLVER.TOTAL_EPOCHS": str(EPOCHS)} | values)
    path = folder / "tiny_space.yaml"
    if "scheduler" not in search:
        search = f"scheduler: {ASHA}" + (f", {search}" if search else "")
    if "reference" not in search:
        search += ", reference: false"
    path.write_text(f"base: base.yaml\nsearch: {{{search}}}\nspace: {{{space}}}\n")
    return path


def train_again(trial_folder: Path, record: TrialRecord) -> list[dict]:
    """Trains a trial's config from scratch in this process, for as many epochs as the trial had."""
    rows: list[dict] = []

    def report(row: dict, checkpoint: Path) -> None:
        rows.append(row)
        if len(rows) == len(record.rows):
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        fit(load_cfg(trial_folder / "results" / "config.yaml"), report, RunFolder(record.name))
    return without_times(rows)


def train_best_elsewhere(best: Path, output: Path) -> list[dict]:
    """Trains a best.yaml as users do: by the command, in another process and folder, with other threads for OpenMP."""
    subprocess.run(
        [sys.executable, "-m", "trainable.train", "-o", output.name, "--cfg", str(best.absolute())],
        cwd=output.parent,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        check=True,
        capture_output=True,
    )
    return without_times(RunFolder(output).read_metrics())


def workers(events: list[Event]) -> set[int]:
    """The processes that trained."""
    return {event.pid for event in events if isinstance(event, EpochReported)}


def most_at_a_time(events: list[Event]) -> int:
    """How many trials ran at the same time, at most."""
    running: set[int] = set()
    most = 0
    for event in events:
        if isinstance(event, WorkerReady):
            running.add(event.trial)
        elif isinstance(event, TrialEnded):
            running.discard(event.trial)
        most = max(most, len(running))
    return most
