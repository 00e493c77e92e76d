"""Search quality: how near the best known configuration comes, at equal cost, by our search and by others.

python benchmarks/search_quality.py [--tables DIR] [--seeds 30] [--json out.json] [--methods ours stock_ray]
    [--workers 4] [--trainings 20]

Recorded learning curves are replayed in virtual time by four workers, for the cost of 20 full trainings, or of four
for each kind where a table has kinds. A configuration that a method (search_methods.py) proposes is looked up as the
nearest recorded one that this run has not used yet, in the unit cube, among those of the same choices.
`record_curves.py` records more.

A run's choice is the configuration with the best value reported so far. Its regret, after a quarter, a half and all of
the cost: 0 is the best recorded configuration, 100 the median one, each by the best epoch. Where a second seed of each
configuration is recorded, a choice is scored by that, so that luck is no result; 0 is then the best of the second
seeds, which owes something to luck and is out of reach. `below` is the share of runs whose choice is worth less than
the base config by more than noise, where a table has one: two standard deviations of the base's trainings. Rank is by
the regret at the end, 1 the best of all methods, meaned over tasks and seeds.
"""

import argparse
import heapq
import json
import math
import os
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core, below

import numpy as np
import optuna
from scipy.stats import rankdata

from benchmarks.curve_table import BASE, Table
from benchmarks.search_methods import COMPARED, METHODS, Method

WORKERS = 4
PARTS = {"regret_quarter": 0.25, "regret_half": 0.5, "regret_full": 1.0}


@dataclass(frozen=True)
class Run:
    """What came of a search.

    Attributes:
        regrets: at the PARTS of its cost.
        is_below_base: whether its choice at the end is worth less than the base; False where that is not known.
    """

    regrets: list[float]
    is_below_base: bool


def replay(table: Table, method: Method, workers: int = WORKERS) -> Run:
    """Runs a search in virtual time."""
    end = table.cost_of_run / workers
    used = np.zeros(len(table.curves), dtype=bool)
    rows: dict[int, int] = {}  # of trials
    epochs: dict[int, int] = {}  # that they have been trained
    best: list[tuple[float, float, int]] = []  # time, value and row of each choice, as it was made
    running: list[tuple[float, int, str, int]] = []  # when the next epoch ends, a tie-break, Ray's id, number
    started = 0

    def start(now: float) -> None:
        nonlocal started
        started += 1
        trial = f"{started:05d}"
        suggested = method.suggest(trial)
        if suggested is None:
            return
        number, params = suggested
        if number not in rows:
            rows[number], epochs[number] = BASE if params is None else table.nearest(params, used), 0
            if params is not None:
                used[rows[number]] = True
        heapq.heappush(running, (now + table.epoch_cost(rows[number]), started, trial, number))

    for _ in range(workers):
        start(0.0)
    while running:
        now, order, trial, number = heapq.heappop(running)
        if now > end:
            break
        epochs[number] += 1
        value = float(table.curve(rows[number])[epochs[number] - 1])
        if value > (best[-1][1] if best else -math.inf):
            best.append((now, value, rows[number]))
        if method.report(trial, epochs[number], value):
            heapq.heappush(running, (now + table.epoch_cost(rows[number]), order, trial, number))
        else:
            start(now)
    chosen = [[row for time, _, row in best if time <= part * end] for part in PARTS.values()]
    return Run(
        [table.regret(table.score(known[-1]) if known else -math.inf) for known in chosen],
        bool(table.base and chosen[-1]) and table.is_below_base(chosen[-1][-1]),
    )


def _run(job: tuple[Path, str, int, int, float | None]) -> Run:
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path, method, seed, workers, trainings = job
    table = Table(path, trainings)
    return replay(table, METHODS[method](table, seed, workers), workers)


def compare(
    paths: Sequence[Path],
    methods: Sequence[str],
    seeds: int,
    workers: int = WORKERS,
    trainings: float | None = None,
) -> dict[str, Any]:
    """Returns the figures of each method, and those of each task at the end."""
    jobs = [(path, method, seed, workers, trainings) for method in methods for path in paths for seed in range(seeds)]
    # not forked: the caller may have threads, whose locks and memory a fork would tear
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        runs = list(pool.map(_run, jobs))
    shape = (len(methods), len(paths), seeds)
    found = np.array([run.regrets for run in runs]).reshape(*shape, len(PARTS))
    below = np.array([run.is_below_base for run in runs]).reshape(shape)
    full = found[..., -1]
    ranks = rankdata(full, axis=0).mean(axis=(1, 2))
    of_task = np.sqrt(full.var(axis=2, ddof=1) / seeds) if seeds > 1 else np.zeros(shape[:2])
    # the tasks are given, the seeds are drawn: the error of the mean over tasks comes from the seeds
    errors = np.sqrt((of_task**2).sum(axis=1)) / len(paths)
    return {
        "methods": {
            method: {
                **{part: float(value) for part, value in zip(PARTS, found[number].mean(axis=(0, 1)), strict=True)},
                "se_full": float(errors[number]),
                "rank": float(ranks[number]),
                "below": float(below[number].mean()),
            }
            for number, method in enumerate(methods)
        },
        "tasks": {
            path.stem: {
                method: {
                    "regret_full": float(full[number, task].mean()),
                    "se_full": float(of_task[number, task]),
                    "below": float(below[number, task].mean()),
                }
                for number, method in enumerate(methods)
            }
            for task, path in enumerate(paths)
        },
        "seeds": seeds,
    }


def tables_parser(doc: str, seeds: int) -> argparse.ArgumentParser:
    """Returns a parser with --tables and --seeds, described by the first line of a docstring."""
    parser = argparse.ArgumentParser(description=doc.split("\n", 1)[0])
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent / "curves")
    parser.add_argument("--seeds", type=int, default=seeds)
    return parser


def table_paths(args: argparse.Namespace) -> list[Path]:
    """Returns the tables that the arguments of `tables_parser` name; none, having said so, where they name none."""
    paths = sorted(args.tables.glob("*.parquet"))
    if paths and args.seeds >= 1:
        return paths
    print(f"error: {args.tables} holds no .parquet tables, or --seeds is below 1", file=sys.stderr)
    return []


def main() -> int:
    """Compares the methods on all tables of a folder."""
    parser = tables_parser(__doc__, seeds=30)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=COMPARED)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--trainings", type=float, help="cost of a run, in whole trainings")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    paths = table_paths(args)
    if not paths:
        return 2
    figures = compare(paths, args.methods, args.seeds, args.workers, args.trainings)
    print(f"{'method':<18}{'1/4':>7}{'1/2':>7}{'all':>7}{'+-':>6}{'rank':>7}{'below':>7}   regret, {len(paths)} tasks")
    for name, row in figures["methods"].items():
        print(
            f"{name:<18}{row['regret_quarter']:>7.1f}{row['regret_half']:>7.1f}{row['regret_full']:>7.1f}"
            f"{row['se_full']:>6.1f}{row['rank']:>7.2f}{row['below']:>7.0%}"
        )
    for task, rows in figures["tasks"].items():
        told = (f"{name} {row['regret_full']:.1f} +- {row['se_full']:.1f}" for name, row in rows.items())
        print(f"{task}: {', '.join(told)}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
