"""What watching costs: the share of its time that the driver of a search spends on its observers.

python benchmarks/observers.py [--trials 1000] [--out FILE]

Runs a search of short trials with the live view on a pseudo-terminal of 120 columns, which somebody reads, and with the
figures for Ray's dashboard. The time in all observers is divided by the time from the first event to the last.
"""

import argparse
import json
import os
import pty
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from search.record.recorder import Recorder
from search.run import main as search

ROOT = Path(__file__).resolve().parent.parent
PARTS = ROOT / "benchmarks" / "small_training.py"
BASE = f"""
USER_MODULES: [{PARTS}]
DATASET.NAME: noise_tiny
DATASET.RESIZE_SHAPE: [8, 8]
DATASET.BATCH_SIZE: 64
MODEL.BACKBONE.NAME: test_resnet
MODEL.SOLVER.TOTAL_EPOCHS: 1
TENSORBOARD: false
"""


def main() -> int:
    """Runs the search and prints the share."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    os.chdir(tempfile.mkdtemp(prefix="observers-"))
    Path("base.yaml").write_text(BASE)
    Path("s.yaml").write_text(
        f"base: base.yaml\nsearch: {{num_samples: {args.trials}, sampler: random, scheduler: none, confirm: false}}\n"
        "space: {MODEL.HEAD.DROPOUT: {uniform: [0, 1]}}\n"
    )
    seconds: dict[str, float] = {}
    timed(seconds)
    with Terminal():
        status = search(["--space", "s.yaml", "-o", "out"])
    events = [json.loads(line) for line in Path("out/events.jsonl").read_text().splitlines()]
    wall = events[-1]["time"] - events[0]["time"]
    figures = {
        "trials": args.trials,
        "status": int(status),
        "seconds": round(wall, 1),
        "share_of_observers": {name: round(spent / wall, 5) for name, spent in sorted(seconds.items())},
        "share": round(sum(seconds.values()) / wall, 5),
    }
    print(json.dumps(figures, indent=1))
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    return int(status)


def timed(seconds: dict[str, float]) -> None:
    """Adds the seconds that each observer takes from now on, by its class."""
    tell = Recorder._tell

    def timed_tell(self: Recorder, call: Any) -> None:
        def measured(observer: Any) -> None:
            start = time.perf_counter()
            try:
                call(observer)
            finally:
                name = type(observer).__name__
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start

        tell(self, measured)

    Recorder._tell = timed_tell  # type: ignore[method-assign]


class Terminal:
    """Makes stdout a terminal that is read, while the block runs."""

    def __enter__(self) -> None:
        self._stdout = sys.stdout
        ours, theirs = pty.openpty()
        sys.stdout = open(theirs, "w", buffering=1)
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}  # rich looks there first
        os.environ.pop("CI", None)
        threading.Thread(target=self._read, args=[ours], daemon=True).start()

    def _read(self, descriptor: int) -> None:
        while True:
            try:
                os.read(descriptor, 65536)
            except OSError:
                return

    def __exit__(self, *error: object) -> None:
        sys.stdout = self._stdout


if __name__ == "__main__":
    sys.exit(main())
