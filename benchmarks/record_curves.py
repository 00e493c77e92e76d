"""Records learning curves of real trainings: tables for benchmarks/search_quality.py.

python benchmarks/record_curves.py benchmarks/own_tasks/digits_speeds.yaml [more.yaml ...] --configs 300 [--out DIR]

Random samples of a space file are trained to their last epoch, one process a core; of several files, in turn. What is
recorded of each configuration, in epochs by the search's metric:

- `curve` of its training, and `averaged_curve`, that of the moving average of its weights;
- `quarter_curve` and `half_curve`: of short whole trainings, with the schedule squeezed into so many of the epochs;
- `second_curve`: of its training with another seed, by which a choice is scored, so that luck is no result;
- `epoch_cost`: seconds of processor time of an epoch, the mean of its training.

The base config is trained with several seeds. What diverges keeps the worst value from there on. Each row is written
to NAME.recorded.jsonl as soon as it is there, and is not trained again; NAME.parquet is made of them at the end.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from benchmarks.curve_table import BASE, write_table
from configs.loader import with_values
from configs.metric_names import sign
from configs.user_modules import import_user_modules
from data.build import build_dataset
from search.plan import SearchPlan, make_plan
from search.rungs_and_rate import with_rungs
from search.space.distributions import Choice, FloatRange, IntRange
from search.space.items import TOTAL_EPOCHS
from search.space.space_file import read_space
from search.space.start import base_parameters, base_values
from trainable.process_state import configure_process
from trainable.training import Training
from trainable.update import TrainingDivergedError

AVERAGE_DECAY = 0.98  # of the moving average of the weights
SECOND_SEED = 7_001  # added to the config's own
BASE_SEEDS = 5
WARMUP = "MODEL.SOLVER.SCHEDULER.WARMUP_EPOCHS"

Curve = list[float | None]  # None from where it diverged
Row = dict[str, Any]


def task_space(plan: SearchPlan) -> dict[str, dict[str, Any]]:
    """Returns each parameter as the table describes it; all must be plain ranges of numbers, or choices of words."""
    space: dict[str, dict[str, Any]] = {}
    for parameter in plan.space.parameters:
        spread = parameter.distribution
        spec: dict[str, Any]
        if isinstance(spread, Choice):
            spec = {"kind": "choice", "values": spread.values()}
        else:
            assert isinstance(spread, FloatRange | IntRange), f"{parameter.name}: {spread.to_yaml()} is no range"
            is_whole = isinstance(spread, IntRange)
            spec = {
                "kind": "int" if is_whole else "float",
                "low": spread.low,
                "high": spread.high - 1 if is_whole else spread.high,
                "log": spread.word.startswith("log"),
            }
        when = {condition.key: list(condition.values) for condition in parameter.conditions}
        assert when.keys() <= space.keys(), f"{parameter.name} depends on what is not in the table"
        space[parameter.name] = spec | ({"when": when} if when else {})
    return space


@dataclass(frozen=True)
class Trained:
    """What was recorded of a training: the metric of each epoch, that of the averaged weights, seconds of an epoch."""

    curve: Curve
    averaged: Curve
    epoch_cost: float


def train(metric: str, cfg: CfgNode, averages: bool = False) -> Trained:
    """Trains a config.

    Args:
        metric: of the search.
        cfg: the config.
        averages: whether the moving average of the weights is evaluated, too; it changes nothing else.
    """
    import_user_modules(cfg.USER_MODULES)
    if averages:
        cfg = with_values(cfg, {"MODEL.SOLVER.EMA_DECAY": AVERAGE_DECAY})
    training = Training(cfg, build_dataset(cfg.DATASET), configure_process(cfg))
    curve: Curve = []
    averaged: Curve = []
    seconds = 0.0
    epochs = cfg.MODEL.SOLVER.TOTAL_EPOCHS
    for _ in range(epochs):
        start = time.process_time()
        try:
            row = training.run_epoch(lambda epoch, step, steps: None)
        except TrainingDivergedError:
            break
        seconds += time.process_time() - start
        averaged.append(sign(metric) * row[metric])
        if averages:
            row = {f"val_{name}": value for name, value in training.evaluate(averaged=False).summary().items()}
        curve.append(sign(metric) * row[metric])
    missing = [None] * (epochs - len(curve))
    return Trained([*curve, *missing], [*averaged, *missing], seconds / max(1, len(curve)))


def best(curve: Curve) -> float:
    """Returns the metric of the best epoch."""
    return float(np.nanmax([np.nan if value is None else value for value in curve]))


def shortened(cfg: CfgNode, parts: int) -> CfgNode:
    """Returns the config of a whole training of one of so many parts of the epochs, the schedule squeezed into it."""
    warmup = cfg.MODEL.SOLVER.SCHEDULER.WARMUP_EPOCHS / parts
    return with_values(cfg, {TOTAL_EPOCHS: cfg.MODEL.SOLVER.TOTAL_EPOCHS // parts, WARMUP: warmup})


def record(metric: str, place: int, params: Mapping[str, Any], cfg: CfgNode) -> Row:
    """Trains a configuration in all the ways that are recorded; of the base, with several seeds."""
    row: Row = {"place": place, "params": dict(params)}
    whole = train(metric, cfg, averages=True)
    row |= {"curve": whole.curve, "averaged_curve": whole.averaged, "epoch_cost": whole.epoch_cost}
    if place == BASE:
        seeds = [cfg.SEED + SECOND_SEED + number for number in range(BASE_SEEDS)]
        return row | {"scores": [best(train(metric, with_values(cfg, {"SEED": seed})).curve) for seed in seeds]}
    short = {"quarter_curve": shortened(cfg, 4), "half_curve": shortened(cfg, 2)}
    short["second_curve"] = with_values(cfg, {"SEED": cfg.SEED + SECOND_SEED})
    return row | {name: train(metric, one).curve for name, one in short.items()}


@dataclass(frozen=True)
class Task:
    """A space whose samples are recorded.

    Attributes:
        plan: of the space file.
        path: of the rows; the table lies beside it.
        configs: what is recorded, by place: the base first, then the samples.
    """

    plan: SearchPlan
    path: Path
    configs: dict[int, tuple[dict[str, Any], CfgNode]]

    @classmethod
    def read(cls, space: Path, out: Path | None, configs: int) -> "Task":
        """Reads a space file and draws its samples, which are the same whatever their number."""
        plan = make_plan(read_space(str(space)))
        rng = np.random.default_rng(plan.options.seed)
        points = [plan.space.feasible_point(rng) for _ in range(configs)]
        samples = {place: (point.sampled, plan.sample_cfg(point.settings)) for place, point in enumerate(points)}
        return cls(plan, (out or space.parent) / f"{space.stem}.recorded.jsonl", {BASE: ({}, plan.base_cfg), **samples})

    def rows(self) -> dict[int, Row]:
        """Returns what is recorded already, by place; a line that was cut off is not.

        Raises:
            ValueError: it was recorded of another space.
        """
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        rows = [json.loads(line) for line in lines if line.endswith("\n")]
        for row in rows:
            if row["place"] in self.configs and row["params"] != self.configs[row["place"]][0]:
                raise ValueError(f"{self.path} was recorded of another space: remove it to begin anew")
        return {row["place"]: row for row in rows if row["place"] in self.configs}

    def todo(self) -> list[tuple["Task", int]]:
        """Returns what is not recorded yet."""
        done = self.rows()
        return [(self, place) for place in self.configs if place not in done]

    def keep(self, row: Row) -> None:
        """Writes a row to disk."""
        with open(self.path, "a+") as file:
            file.seek(0)
            text = file.read()
            if text and not text.endswith("\n"):  # the last one was cut off
                file.truncate(text.rfind("\n") + 1)
            file.write(json.dumps(row) + "\n")

    def write_table(self) -> Path:
        """Writes the table of all rows that are there, and returns its path."""
        rows = self.rows()
        base = rows.pop(BASE)
        samples = [rows[place] for place in sorted(rows)]
        names = ("curve", "averaged_curve", "quarter_curve", "half_curve", "second_curve")
        curves = {name: np.array([row[name] for row in samples], dtype=float) for name in names}
        worst = min(np.nanmin(values) for values in curves.values())
        known = {name: np.nan_to_num(values, nan=worst).tolist() for name, values in curves.items()}
        path = self.path.with_name(self.path.name.replace(".recorded.jsonl", ".parquet"))
        values = base_values(self.plan.space)
        write_table(
            path,
            task_space(self.plan),
            [row["params"] for row in samples],
            known.pop("curve"),
            [row["epoch_cost"] for row in samples],
            self.plan.options.kinds or (),
            known,
            {
                "params": {one.name: values[one.key] for one in base_parameters(self.plan.space)},
                **{name: base[name] for name in ("curve", "epoch_cost", "scores")},
            },
            with_rungs(self.plan).rungs,
        )
        return path


def in_turn(tasks: Sequence[Task]) -> Iterator[tuple[Task, int]]:
    """Yields what is to be recorded, one of each task after the other."""
    for group in zip_longest(*(task.todo() for task in tasks)):
        yield from (one for one in group if one is not None)


def main() -> int:
    """Trains what is missing and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("spaces", type=Path, nargs="+")
    parser.add_argument("--configs", type=int, default=300)
    parser.add_argument("--out", type=Path, help="folder of rows and tables; that of the space file without it")
    args = parser.parse_args()
    tasks = [Task.read(space, args.out, args.configs) for space in args.spaces]
    with ProcessPoolExecutor() as pool:
        running = {
            pool.submit(record, task.plan.options.metric, place, *task.configs[place]): task
            for task, place in in_turn(tasks)
        }
        for done in as_completed(running):
            running[done].keep(done.result())
    for task in tasks:
        print(task.write_table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
