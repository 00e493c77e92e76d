"""Makes up tables in which nearly all trainings stay at the level of chance, for benchmarks/search_quality.py.

python benchmarks/plateau_tables.py DIR [--tables 16]

Of 1,000 configurations with six numbers each, one in twenty leaves the plateau, after two to twelve of 50 epochs: those
that are nearest to a point of their own, and the nearer, the higher. The plateau is highest somewhere else, by two
hundredths, so that the first epochs lead away from what is good in the end.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.curve_table import write_table

CONFIGS, NUMBERS, EPOCHS = 1_000, 6, 50
SHARE = 0.05  # of the configurations leaves the plateau
CHANCE, SLOPE, NOISE = 0.1, 0.02, 0.001  # the level of the plateau, how uneven it is, and the noise of an epoch
HIGHEST, WORST = 0.8, 0.4  # above chance: what the best that leave it reach, and what share of that the others do


def write_plateau(path: Path, seed: int) -> None:
    """Writes a table, which follows from the seed alone."""
    rng = np.random.default_rng(seed)
    points = rng.random((CONFIGS, NUMBERS))
    top_of_plateau = rng.uniform(0.25, 0.75, NUMBERS)
    weights = rng.dirichlet(np.full(NUMBERS, 0.7))
    side = rng.choice([-1, 1], NUMBERS)
    way_out = np.clip(top_of_plateau + side * rng.uniform(0.2, 0.4, NUMBERS) * (weights > 0.1), 0.05, 0.95)
    unevenness = -(weights * (points - top_of_plateau) ** 2).sum(axis=1)
    unevenness = (unevenness - unevenness.min()) / np.ptp(unevenness)
    distance = (rng.dirichlet(np.ones(NUMBERS)) * (points - way_out) ** 2).sum(axis=1)
    place = distance.argsort().argsort() / (SHARE * CONFIGS)  # below 1 of those that leave it
    leaves = place < 1
    height = np.where(leaves, HIGHEST * (1 - (1 - WORST) * place), 0.0)
    onset = np.where(leaves, rng.uniform(2, 12, CONFIGS), EPOCHS)
    epochs = np.arange(1, EPOCHS + 1)
    rise = 1 - np.exp(-np.maximum(0, epochs - onset[:, None]) / 8)
    curves = CHANCE + SLOPE * unevenness[:, None] * (1 - np.exp(-epochs / 3)) + height[:, None] * rise
    curves += rng.normal(0, NOISE, curves.shape)
    space = {f"x{number}": {"kind": "float", "low": 0.0, "high": 1.0, "log": False} for number in range(NUMBERS)}
    params = [dict(zip(space, map(float, point), strict=True)) for point in points]
    write_table(path, space, params, curves.tolist(), [1.0] * CONFIGS)


def main() -> int:
    """Writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tables", type=int, default=16)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(args.tables):
        write_plateau(args.folder / f"plateau_{seed:02d}.parquet", seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
