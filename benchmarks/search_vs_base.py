"""Is what a search chooses better than the base that it began with? Whole searches, live, on three real tasks.

python benchmarks/search_vs_base.py --out /tmp/vs_base [--before CHECKOUT] [--seeds 4] [--tasks digits letters icons]
    [--trainings 10 --others stock_ray random_asha tpe_unstopped]

Each task has a base and a space with three or four backbones that learn at different speeds (benchmarks/own_tasks). A
search of 24 samples chooses a config; choice and base are then trained with three seeds that no search has used.
`--before` names the checkout of another version, which is measured in the same way. Nothing is done twice: what is in
--out already is kept. Two hours on two cores at most; icons need QtAwesome (see image_sources.py).

With `--trainings`, each search gets the same time on two slots, that of so many whole trainings of the base, from the
end of its first epoch on, and repeats nothing; `--others` are searches of Ray Tune (ray_tune_search.py) in that time.
They do not know the base, which ours trains as its reference, and may choose.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core, below

import numpy as np
from yacs.config import CfgNode

from benchmarks.image_sources import SOURCES, draw
from benchmarks.record_curves import Trained, best, train
from configs.errors import ExitStatus
from configs.loader import load_cfg, with_values
from search.plan import make_plan
from search.record.event_log import EventReader
from search.record.events import EpochReported
from search.requests import Requests, StopRequest
from search.space.space_file import read_space

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("digits", "letters", "icons")
OTHERS = ("stock_ray", "random_asha", "tpe_unstopped")  # searches of ray_tune_search.py
SAMPLES = 24
ENDLESS = 10_000  # samples of a search that its time ends
SLOTS = 2
PAUSE = 0.05  # seconds between two looks
FRESH_SEEDS = (90_001, 90_002, 90_003)
LIMIT = 900  # seconds of one search
NOISE = 2.0  # standard errors of the difference of two means


def space_of(task: str) -> Path:
    """Returns the space file of a task."""
    return ROOT / "benchmarks/own_tasks" / f"{task}_backbones.yaml"


def search(checkout: Path, space: Path, folder: Path, seconds: float | None) -> None:
    """Runs a search of a version into a folder.

    Args:
        checkout: of the version.
        space: its space file.
        folder: of the search.
        seconds: that it may run from its first epoch on; None: until it ends by itself.

    Raises:
        CalledProcessError: it ended with an error; its words are in the log beside the folder.
    """
    command = [sys.executable, "-m", "search.run", "--space", str(space), "-o", str(folder)]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    with open(folder.with_suffix(".log"), "w") as log:
        process = subprocess.Popen(command, cwd=space.parent, env=environment, stdout=log, stderr=log)
    if seconds is not None:
        reader = EventReader(folder / "events.jsonl")
        while process.poll() is None and not any(isinstance(event, EpochReported) for event in reader.read_new()):
            time.sleep(PAUSE)
        if process.poll() is None:
            time.sleep(seconds)
            Requests(folder).send(StopRequest())
    try:
        process.wait(LIMIT)
    finally:
        process.kill()
    if process.returncode != (ExitStatus.DONE if seconds is None else ExitStatus.INTERRUPTED):
        raise subprocess.CalledProcessError(process.returncode, command)


def search_with_ray(method: str, space: Path, folder: Path, seconds: float) -> None:
    """Runs a search of Ray Tune, which leaves its choice in the folder.

    Raises:
        CalledProcessError: it ended with an error; its words are in the log beside the folder.
    """
    script = Path(__file__).with_name("ray_tune_search.py")
    options = ["--space", str(space), "--method", method, "--seconds", str(seconds), "--slots", str(SLOTS)]
    with open(folder.with_suffix(".log"), "w") as log:
        command = [sys.executable, str(script), *options, "--out", str(folder / "best.yaml")]
        subprocess.run(command, cwd=space.parent, stdout=log, stderr=log, timeout=LIMIT, check=True)


def train_afresh(cfg: CfgNode) -> list[Trained]:
    """Trains a config with each fresh seed."""
    cfgs = [with_values(cfg, {"SEED": seed, "OUTPUT_PATH": ""}) for seed in FRESH_SEEDS]
    with ProcessPoolExecutor(SLOTS) as pool:
        return list(pool.map(partial(train, "val_score"), cfgs))


def scores(trained: Sequence[Trained]) -> list[float]:
    """Returns the metric of the best epoch of each training."""
    return [best(one.curve) for one in trained]


def seconds_of(trained: Sequence[Trained]) -> float:
    """Returns what a whole training takes, in seconds of a core."""
    return float(np.mean([one.epoch_cost * len(one.curve) for one in trained]))


def beside(choice: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    """Compares the scores of a choice with those of its base."""
    margin = float(np.mean(choice) - np.mean(base))
    error = float(np.sqrt((np.var(choice, ddof=1) + np.var(base, ddof=1)) / len(FRESH_SEEDS)))
    return {"margin": margin, "error": error, "is_below": margin < -NOISE * error}


@dataclass(frozen=True)
class Measurement:
    """What is measured.

    Attributes:
        out: folder of all that is made.
        checkouts: versions of this search, by name.
        others: searches of Ray Tune.
        trainings: the time of a search, in whole trainings of the base; None: it ends by itself.
    """

    out: Path
    checkouts: dict[str, Path]
    others: Sequence[str]
    trainings: float | None

    def run(self, version: str, task: str, seed: int, training: float) -> CfgNode:
        """Runs a search and returns the config that it chose; `training` has the seconds of a whole one."""
        folder = self.out / f"{version}_{task}_{seed}"
        shutil.rmtree(folder, ignore_errors=True)  # of a measurement that was interrupted
        space = self.out / f"{version}_{task}_{seed}.yaml"
        seconds = self.trainings * training / SLOTS if self.trainings else None
        words = f"seed: {seed}, num_samples: {SAMPLES if seconds is None else ENDLESS}"
        words += "" if seconds is None else ", confirm: false"
        space.write_text(f"extends: {space_of(task)}\nsearch: {{{words}}}\n")
        if version in self.checkouts:
            search(self.checkouts[version], space, folder, seconds)
        else:
            assert seconds is not None, "searches of Ray Tune end by --trainings"
            search_with_ray(version, space, folder, seconds)
        return load_cfg(str(folder / "best.yaml"), with_environment=False)

    def measure(self, tasks: Sequence[str], seeds: int) -> dict[str, Any]:
        """Returns the figures of all searches; what is done already is read from the folder."""
        done = self.out / "figures.json"
        figures: dict[str, Any] = json.loads(done.read_text()) if done.exists() else {"base": {}, "searches": []}
        for task in tasks:
            if task in SOURCES and not (self.out / "data/raw" / task).exists():
                draw(task, self.out / "data/raw" / task)
            if task not in figures["base"]:
                trained = train_afresh(make_plan(read_space(space_of(task))).base_cfg)
                figures["base"][task] = {"scores": scores(trained), "seconds": seconds_of(trained)}
                done.write_text(json.dumps(figures, indent=1) + "\n")
        for seed, task, version in product(range(seeds), tasks, [*self.checkouts, *self.others]):
            name = {"version": version, "task": task, "seed": seed, "trainings": self.trainings}
            if any(name.items() <= found.items() for found in figures["searches"]):
                continue
            base = figures["base"][task]
            start = time.monotonic()
            chosen = self.run(version, task, seed, base["seconds"])
            seconds = round(time.monotonic() - start, 1)
            reached = scores(train_afresh(chosen))
            compared = beside(reached, base["scores"])
            figures["searches"].append({**name, "seconds": seconds, "scores": reached, **compared})
            done.write_text(json.dumps(figures, indent=1) + "\n")
            print(f"{version:<14}{task:<9}seed {seed}  {seconds:>5.0f} s  {compared['margin']:+.4f}", flush=True)
        return figures


def main() -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--trainings", type=float, help="the time of a search, in whole trainings of the base")
    parser.add_argument("--others", nargs="+", choices=OTHERS, default=(), help="searches of Ray Tune, in that time")
    args = parser.parse_args()
    if args.trainings and len(os.sched_getaffinity(0)) != SLOTS:
        parser.error(f"--trainings compares searches of {SLOTS} slots: take as many cores (taskset)")
    if args.others and not args.trainings:
        parser.error("--others needs --trainings, by which they end")
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out)  # where data/raw is
    checkouts = {"now": ROOT} | ({"before": args.before.resolve()} if args.before else {})
    figures = Measurement(out, checkouts, args.others, args.trainings).measure(args.tasks, args.seeds)
    print(f"\n{'task':<9}{'version':<14}{'base':>7}{'choice':>8}{'margin':>9}{'below':>7}{'seconds':>9}")
    for task, version in product(args.tasks, [*checkouts, *args.others]):
        rows = [row for row in figures["searches"] if (row["version"], row["task"]) == (version, task)]
        base, chosen = np.mean(figures["base"][task]["scores"]), np.mean([row["scores"] for row in rows])
        below, seconds = sum(row["is_below"] for row in rows), np.mean([row["seconds"] for row in rows])
        print(
            f"{task:<9}{version:<14}{base:>7.4f}{chosen:>8.4f}{chosen - base:>+9.4f}{f'{below}/{len(rows)}':>7}"
            f"{seconds:>9.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
