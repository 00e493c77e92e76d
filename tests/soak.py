"""Soak test: many short trials, one in twenty with a fault, and what grows meanwhile.

python -m tests.soak [--trials 2000]      (make soak)

Ends with status 1 if a trial is not accounted for, or if memory, file descriptors, processes or temporary files of
driver and workers grow with the number of trials: between a quarter of them and the end.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
import psutil

from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.events import EpochReported, TrialEnded
from search.record.history import History
from search.record.outcomes import ENDED
from search.run import main as search
from tests.conftest import ROOT, TINY, write_tiny

# What may be added between a quarter of the trials and the end.
LIMITS = {
    "driver MB": 60,
    "worker MB": 30,
    "driver files": 10,
    "worker files": 10,
    "processes": 4,
    "temporary files": 50,
}
FILES_OF_A_DEATH = 12  # temporary ones that Ray leaves of a worker process that died: its logs and its error


def measure(folder: SearchFolder) -> dict[str, float]:
    """Returns what driver, workers and temporary folder hold now."""
    driver = psutil.Process()
    family = driver.children(recursive=True)
    workers = []
    for process in family:
        with contextlib.suppress(psutil.Error):
            if "run_trial" in process.name() or "ray::" in " ".join(process.cmdline()[:1]):
                workers.append((process.memory_info().rss, process.num_fds()))
    rss = [memory for memory, _ in workers]
    files = [count for _, count in workers]
    temporary = sum(len(names) for _, *of_folder in os.walk(tempfile.gettempdir()) for names in of_folder)
    return {
        "driver MB": driver.memory_info().rss / 1e6,
        "worker MB": max(rss, default=0) / 1e6,
        "driver files": driver.num_fds(),
        "worker files": max(files, default=0),
        "processes": len(family),
        "temporary files": temporary + len(list(folder.path.glob(".*.tmp"))),
    }


def main() -> int:
    """Runs the search and prints what it held at a quarter, a half and the end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=2000)
    trials = parser.parse_args().trials
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    os.chdir(home)
    (home / "tmp").mkdir()
    tempfile.tempdir = os.environ["TMPDIR"] = str(home / "tmp")
    changes = {"USER_MODULES": f"[{TINY}, {ROOT / 'tests' / 'parts' / 'soak_parts.py'}]"}
    changes |= {"MODEL.SOLVER.TOTAL_EPOCHS": "1", "MODEL.HEAD.NAME": "soak_head", "DATASET.VALIDATION_FRACTION": "0.9"}
    write_tiny(home / "base.yaml", changes)
    (home / "soak.yaml").write_text(
        f"base: base.yaml\nsearch: {{num_samples: {trials}, reference: false, sampler: random, max_failures: 1}}\n"
        "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 1]}}\n"
    )
    folder = SearchFolder("experiments/soak")
    measured: dict[int, dict[str, float]] = {}

    def watch() -> None:
        for mark in (trials // 4, trials // 2, trials - 20):
            while sum(isinstance(e, EpochReported) for e in EventLog(folder.events).read()) < mark * 0.95:
                time.sleep(2)
            measured[mark] = measure(folder)
            print(f"after about {mark} trials: {measured[mark]}", file=sys.stderr, flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.monotonic()
    with open("output", "w") as output, contextlib.redirect_stdout(output):
        status = search(["--space", "soak.yaml"])
    print(f"status {status} after {time.monotonic() - start:.0f} s, in {home}")

    events = EventLog(folder.events).read()
    history = History(events)
    table = pd.read_csv(folder.results_csv)
    states = table["state"].value_counts().to_dict()
    deaths = sum(isinstance(event, TrialEnded) and "worker process died" in event.reason for event in events)
    print(f"states: {states}, worker processes that died: {deaths}")
    problems = []
    if status or len(table) != trials or any(r.state not in ENDED for r in history.trials.values()):
        problems.append("not all trials are accounted for")
    watcher.join(timeout=10)
    if len(measured) < 3:
        problems.append(f"measured only after {sorted(measured)} trials")
    if not all(numbers["worker MB"] for numbers in measured.values()):
        problems.append("no worker was found when it was measured")
    first, last = measured[min(measured)], measured[max(measured)]
    for name, limit in (LIMITS | {"temporary files": LIMITS["temporary files"] + FILES_OF_A_DEATH * deaths}).items():
        if last[name] - first[name] > limit:
            problems.append(f"{name} grew from {first[name]:.0f} to {last[name]:.0f}, allowed are {limit} more")
    print("\n".join(problems) or "nothing grows, all are accounted for")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
