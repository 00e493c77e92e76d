"""Is what a search chooses better than the base that it began with? Whole searches, live, on three real tasks.

python benchmarks/search_vs_base.py --out /tmp/vs_base [--before CHECKOUT] [--seeds 4] [--tasks digits letters icons]

Each task has a base and a space with three or four backbones that learn at different speeds (benchmarks/own_tasks). A
search of 24 samples chooses a config; choice and base are then trained with three seeds that no search has used.
`--before` names the checkout of another version, which is measured in the same way. Nothing is done twice: what is in
--out already is kept. Two hours on two cores at most; icons need QtAwesome (see image_sources.py).
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core, below

import numpy as np
from yacs.config import CfgNode

from benchmarks.image_sources import SOURCES, draw
from benchmarks.record_curves import best, train
from configs.loader import load_cfg, with_values
from search.plan import make_plan
from search.space.space_file import read_space

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("digits", "letters", "icons")
SAMPLES = 24
FRESH_SEEDS = (90_001, 90_002, 90_003)
LIMIT = 900  # seconds of one search
NOISE = 2.0  # standard errors of the difference of two means


def space_of(task: str) -> Path:
    """Returns the space file of a task."""
    return ROOT / "benchmarks/own_tasks" / f"{task}_backbones.yaml"


def search(checkout: Path, task: str, seed: int, out: Path, folder: Path) -> float:
    """Runs a search of a version into a folder and returns the seconds that it took.

    Raises:
        CalledProcessError: it ended with an error; its words are in the log beside the folder.
    """
    space = out / f"{task}_{seed}.yaml"
    space.write_text(f"extends: {space_of(task)}\nsearch: {{seed: {seed}, num_samples: {SAMPLES}}}\n")
    command = [sys.executable, "-m", "search.run", "--space", str(space), "-o", str(folder)]
    start = time.monotonic()
    with open(folder.with_suffix(".log"), "w") as log:
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        subprocess.run(command, cwd=out, env=environment, stdout=log, stderr=log, timeout=LIMIT, check=True)
    return time.monotonic() - start


def score(cfg: CfgNode) -> float:
    """Trains a config and returns the metric of its best epoch."""
    return best(train("val_score", cfg).curve)


def scores(cfg: CfgNode) -> list[float]:
    """Returns the scores of a config with each fresh seed."""
    cfgs = [with_values(cfg, {"SEED": seed, "OUTPUT_PATH": ""}) for seed in FRESH_SEEDS]
    with ProcessPoolExecutor() as pool:
        return list(pool.map(score, cfgs))


def beside(choice: Sequence[float], base: Sequence[float]) -> dict[str, Any]:
    """Compares the scores of a choice with those of its base."""
    margin = float(np.mean(choice) - np.mean(base))
    error = float(np.sqrt((np.var(choice, ddof=1) + np.var(base, ddof=1)) / len(FRESH_SEEDS)))
    return {"margin": margin, "error": error, "is_below": margin < -NOISE * error}


def measure(out: Path, checkouts: dict[str, Path], tasks: Sequence[str], seeds: int) -> dict[str, Any]:
    """Returns the figures of all versions; what is done already is read from the folder."""
    done = out / "figures.json"
    figures: dict[str, Any] = json.loads(done.read_text()) if done.exists() else {"base": {}, "searches": []}

    def keep() -> None:
        done.write_text(json.dumps(figures, indent=1) + "\n")

    for task in tasks:
        if task in SOURCES and not (out / "data/raw" / task).exists():
            draw(task, out / "data/raw" / task)
        if task not in figures["base"]:
            figures["base"][task] = scores(make_plan(read_space(space_of(task))).base_cfg)
            keep()
    for seed in range(seeds):
        for task in tasks:
            for version, checkout in checkouts.items():
                name = {"version": version, "task": task, "seed": seed}
                if any(name.items() <= found.items() for found in figures["searches"]):
                    continue
                folder = out / f"{version}_{task}_{seed}"
                seconds = search(checkout, task, seed, out, folder)
                chosen = scores(load_cfg(str(folder / "best.yaml"), with_environment=False))
                compared = beside(chosen, figures["base"][task])
                figures["searches"].append({**name, "seconds": round(seconds, 1), "scores": chosen, **compared})
                keep()
                print(f"{version:<8}{task:<9}seed {seed}  {seconds:>5.0f} s  {compared['margin']:+.4f}", flush=True)
    return figures


def main() -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.chdir(out)  # where data/raw is
    checkouts = {"now": ROOT} | ({"before": args.before.resolve()} if args.before else {})
    figures = measure(out, checkouts, args.tasks, args.seeds)
    print(f"\n{'task':<9}{'version':<9}{'base':>7}{'choice':>8}{'margin':>9}{'below':>7}{'seconds':>9}")
    for task in args.tasks:
        for version in checkouts:
            rows = [row for row in figures["searches"] if (row["version"], row["task"]) == (version, task)]
            base, chosen = np.mean(figures["base"][task]), np.mean([row["scores"] for row in rows])
            below, seconds = sum(row["is_below"] for row in rows), np.mean([row["seconds"] for row in rows])
            print(
                f"{task:<9}{version:<9}{base:>7.4f}{chosen:>8.4f}{chosen - base:>+9.4f}{f'{below}/{len(rows)}':>7}"
                f"{seconds:>9.0f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
