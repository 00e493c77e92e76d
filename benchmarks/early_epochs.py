"""How well does each epoch say which configurations will be ahead at the end?

python benchmarks/early_epochs.py [--tables benchmarks/own_tasks]

For each table with second seeds (record_curves.py): Spearman's rank correlation, among the better half of the
configurations, between what was known after an epoch and the score with another seed. A row for the training itself, by
the epoch's own value; for its best value so far; for the moving average of its weights; and for short whole trainings,
whose schedule is squeezed into a quarter or a half of the epochs, each at the epoch that costs as much.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.stats import spearmanr

from benchmarks.curve_table import Table


def correlations(path: Path) -> dict[str, list[float]]:
    """Returns the rank correlation after each epoch, by what is looked at; nan where there is nothing to look at."""
    table, frame = Table(path), pq.read_table(path).to_pandas()
    better = table.scores >= np.median(table.scores)
    columns = {name: np.stack(frame[name])[better] for name in ("averaged_curve", "quarter_curve", "half_curve")}
    whole, scores = table.curves[better], table.scores[better]

    def at(values: np.ndarray) -> float:
        return float(spearmanr(values, scores).statistic)

    def each(curves: np.ndarray) -> list[float]:
        return [at(curves[:, epoch]) for epoch in range(curves.shape[1])]

    short = [float("nan")] * table.epochs
    for name in ("quarter_curve", "half_curve"):
        epochs = columns[name].shape[1]
        short[epochs - 1] = at(columns[name].max(axis=1))
    return {
        "own value": each(whole),
        "best so far": each(np.maximum.accumulate(whole, axis=1)),
        "averaged weights": each(columns["averaged_curve"]),
        "short training": short,
    }


def main() -> int:
    """Prints a table for each task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent / "own_tasks")
    args = parser.parse_args()
    paths = sorted(args.tables.glob("*.parquet"))
    if not paths:
        print(f"error: {args.tables} holds no .parquet tables", file=sys.stderr)
        return 2
    for path in paths:
        if "second_curve" not in pq.read_schema(path).names:
            print(f"{path.stem} has no second seeds")
            continue
        found = correlations(path)
        print(f"{path.stem}, {pq.read_metadata(path).num_rows} configurations, after each epoch")
        for name, values in found.items():
            print(f"  {name:<18}" + "".join("      " if np.isnan(value) else f"{value:6.2f}" for value in values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
