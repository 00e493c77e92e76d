"""What is a rung worth? Ladders of rungs, climbed by random samples in virtual time.

python benchmarks/rung_worth.py [--tables benchmarks/own_tasks] [--seeds 300] [--workers 4] [--trainings 20]

The sampler is left out, so that what is seen is owed to the ladder alone, and a run takes milliseconds. Samples wait at
each rung as under asha: the best quarter of those that have come as far goes on, the one at the highest rung first. A
ladder is one of these, for trainings of 8 epochs:

- `3 whole`: compared after epoch 3, then trained on to the end.
- `averaged 3 whole`: the same, compared by the moving average of the weights.
- `restart 2 4 whole`: each rung is a whole training of its own, with the schedule squeezed into its epochs.
- `whole`: no rung.

A run's choice is the configuration with the best value so far, scored as in search_quality.py. What is printed is the
mean regret after a quarter, a half and all of the cost, over all tables, and at the end for each, with its standard
error over the seeds.
"""

import heapq
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.curve_table import FULL_TRAININGS, Table
from benchmarks.search_quality import PARTS, WORKERS, table_paths, tables_parser

FACTOR = 4  # one of so many goes on
SEEDS = 300
LADDERS = (
    *(
        "whole",
        "1 whole",
        "1 3 whole",
        "2 whole",
        "3 whole",
        "4 whole",
        "1 4 whole",
        "1 5 whole",
        "1 6 whole",
        "1 7 whole",
        "2 6 whole",
    ),
    *("averaged 2 whole", "averaged 4 whole", "restart 2 whole", "restart 4 whole", "restart 2 4 whole"),
)


@dataclass(frozen=True)
class Rung:
    """Where samples are compared, or the end of their training.

    Attributes:
        epochs: that it takes to come there from the rung before.
        values: of each configuration there, higher is better.
        best: the best value of each configuration on the way there.
    """

    epochs: int
    values: np.ndarray
    best: np.ndarray


def ladder(table: Table, frame: pd.DataFrame, name: str) -> list[Rung]:
    """Returns the rungs that a name describes, the end of a whole training last."""
    first, *rest = name.split()
    words = rest if first in ("averaged", "restart") else [first, *rest]
    averaged = np.stack(frame["averaged_curve"]) if first == "averaged" else table.curves
    columns = ("quarter_curve", "half_curve") if first == "restart" else ()
    short = {curves.shape[1]: curves for curves in (np.stack(frame[column]) for column in columns)}
    rungs, before = [], 0
    for word in words:
        epoch = table.epochs if word == "whole" else int(word)
        curves = short[epoch] if first == "restart" and word != "whole" else table.curves[:, :epoch]
        compared = averaged if first == "averaged" and word != "whole" else curves
        began = 0 if first == "restart" else before
        rungs.append(Rung(epoch - began, compared[:, epoch - 1], curves[:, began:].max(axis=1)))
        before = epoch
    return rungs


def climb(table: Table, rungs: Sequence[Rung], seed: int, workers: int) -> list[float]:
    """Returns the regrets of a run at the PARTS of its cost."""
    end = table.cost_of_run / workers
    samples = iter(np.random.default_rng(seed).permutation(len(table.curves)).tolist())
    reached: list[list[int]] = [[] for _ in rungs]  # configurations at each rung
    gone: list[set[int]] = [set() for _ in rungs]  # those that went on from there
    running: list[tuple[float, int, int]] = []  # when it comes to a rung, configuration, rung
    best: list[tuple[float, float, int]] = []  # time, value and configuration of each choice

    def following() -> tuple[int, int] | None:
        """Returns the configuration that goes on from the highest rung, else a new one; and the rung that is next."""
        for place in reversed(range(len(rungs) - 1)):
            ranked = sorted(reached[place], key=lambda config: -rungs[place].values[config])
            for config in ranked[: len(ranked) // FACTOR]:
                if config not in gone[place]:
                    gone[place].add(config)
                    return config, place + 1
        return next(((config, 0) for config in samples), None)

    def start(now: float) -> None:
        found = following()
        if found is not None:
            heapq.heappush(running, (now + rungs[found[1]].epochs * table.cost[found[0]], *found))

    for _ in range(workers):
        start(0.0)
    while running:
        now, config, rung = heapq.heappop(running)
        if now > end:
            break
        reached[rung].append(config)
        value = rungs[rung].best[config]
        if not best or value > best[-1][1]:
            best.append((now, value, config))
        start(now)
    chosen = [[config for time, _, config in best if time <= part * end] for part in PARTS.values()]
    return [table.regret(table.score(known[-1]) if known else -np.inf) for known in chosen]


def main() -> int:
    """Prints the figures of each ladder."""
    parser = tables_parser(__doc__, seeds=SEEDS)
    parser.set_defaults(tables=Path(__file__).parent / "own_tasks")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--trainings", type=float, default=FULL_TRAININGS)
    parser.add_argument("--ladders", nargs="+", help="all that make sense without it")
    args = parser.parse_args()
    paths = table_paths(args)
    if not paths:
        return 2
    known = [(Table(path, args.trainings), pq.read_table(path).to_pandas()) for path in paths]
    print(f"{'ladder':<24}{'1/4':>7}{'1/2':>7}{'all':>7}   {'  '.join(f'{table.name:>20}' for table, _ in known)}")
    for name in args.ladders or LADDERS:
        found = np.array(
            [
                [climb(table, rungs, seed, args.workers) for seed in range(args.seeds)]
                for table, rungs in ((table, ladder(table, frame, name)) for table, frame in known)
            ]
        )
        errors = found[..., -1].std(axis=1, ddof=1) / np.sqrt(args.seeds)
        ends = "  ".join(
            f"{value:>12.1f} +- {error:4.1f}" for value, error in zip(found[..., -1].mean(1), errors, strict=True)
        )
        print(f"{name:<24}{''.join(f'{value:>7.1f}' for value in found.mean(axis=(0, 1)))}   {ends}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
