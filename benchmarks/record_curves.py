"""Records learning curves of real trainings: a table for benchmarks/search_quality.py.

python benchmarks/record_curves.py benchmarks/own_tasks/digits_sgd.yaml --configs 400

Random samples of a space file are trained to their last epoch, one process a core. The table, beside the space file,
has a row a sample: its values, `curve` (the search's metric, after each epoch) and `epoch_cost` (seconds of processor
time of an epoch, the mean of all). What diverges keeps the worst value from there on.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from benchmarks.curve_table import write_table
from configs.metric_names import sign
from configs.user_modules import import_user_modules
from data.build import build_dataset
from search.plan import SearchPlan, make_plan
from search.space.distributions import Choice, FloatRange, IntRange
from search.space.space_file import read_space
from trainable.process_state import configure_process
from trainable.training import Training
from trainable.update import TrainingDivergedError


def task_space(plan: SearchPlan) -> dict[str, dict[str, Any]]:
    """Returns each parameter as the table describes it; all must be plain ranges of numbers, or choices of words."""
    space: dict[str, dict[str, Any]] = {}
    for parameter in plan.space.parameters:
        spread = parameter.distribution
        if isinstance(spread, Choice):
            space[parameter.name] = {"kind": "choice", "values": spread.values()}
            continue
        assert isinstance(spread, FloatRange | IntRange), f"{parameter.name}: {spread.to_yaml()} cannot be looked up"
        is_whole = isinstance(spread, IntRange)
        space[parameter.name] = {
            "kind": "int" if is_whole else "float",
            "low": spread.low,
            "high": spread.high - 1 if is_whole else spread.high,
            "log": spread.word.startswith("log"),
        }
    return space


def record(metric: str, cfg: CfgNode) -> tuple[list[float], float]:
    """Trains a config; returns the metric of each epoch, nan from where it diverged, and the cost of an epoch."""
    import_user_modules(cfg.USER_MODULES)
    training = Training(cfg, build_dataset(cfg.DATASET), configure_process(cfg))
    epochs = cfg.MODEL.SOLVER.TOTAL_EPOCHS
    curve: list[float] = []
    start = time.process_time()
    try:
        for _ in range(epochs):
            curve.append(sign(metric) * training.run_epoch(lambda epoch, step, steps: None)[metric])
    except TrainingDivergedError:
        pass
    return curve + [np.nan] * (epochs - len(curve)), (time.process_time() - start) / max(1, len(curve))


def main() -> int:
    """Trains the samples and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("space", type=Path)
    parser.add_argument("--configs", type=int, default=400)
    args = parser.parse_args()
    plan = make_plan(read_space(str(args.space)))
    space = task_space(plan)
    rng = np.random.default_rng(plan.options.seed)
    points = [plan.space.feasible_point(rng) for _ in range(args.configs)]
    cfgs = [plan.sample_cfg(point.settings) for point in points]
    with ProcessPoolExecutor() as pool:
        curves, costs = zip(*pool.map(partial(record, plan.options.metric), cfgs), strict=True)
    worst = np.nanmin(np.array(curves))
    known = np.nan_to_num(np.array(curves), nan=worst).tolist()
    params = [point.params for point in points]
    write_table(args.space.with_suffix(".parquet"), space, params, known, costs, plan.options.kinds or ())
    return 0


if __name__ == "__main__":
    sys.exit(main())
