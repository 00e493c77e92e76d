"""The tables of learning curves that search_quality.py replays; curves/README.md has their format."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

BASE = -1  # the row of the base config
FULL_TRAININGS = 20  # cost of a run
TRAININGS_PER_KIND = 4  # cost of a run where a table has kinds
NOISE = 2.0  # standard deviations of the base's score

Curves = Sequence[Sequence[float]]
Params = Mapping[str, Any]
TaskSpace = dict[str, dict[str, Any]]  # kind, low, high and log of each hyperparameter ...; see Table


def is_active(spec: Mapping[str, Any], params: Params) -> bool:
    """Whether a hyperparameter has a value beside those of others."""
    return all(params.get(other) in values for other, values in spec.get("when", {}).items())


class Table:
    """The recorded configurations of a task.

    Args:
        path: of the file.
        trainings: cost of a run, in whole trainings; None: as the table's kinds want it.

    Attributes:
        space: kind, low, high and log of each hyperparameter; of a choice, kind and values; `when` it is active.
        kinds: the choices whose values learn at different speeds, as `search: kinds` names them.
        points: the configurations in the unit cube, of shape (configurations, hyperparameters); inactive ones 0.
        curves: the metric, higher is better, of shape (configurations, epochs).
        cost: of one epoch, of shape (configurations,).
        scores: what the choice of a configuration is worth: the best epoch of its training with another seed, where
            that is recorded, else of its curve. Of shape (configurations,).
        base: what is known of the base config: its values, its curve, and its scores with other seeds; maybe nothing.
        rungs: the epochs at which a search places them by the schedule of the base; none: by the epochs alone.
    """

    def __init__(self, path: Path, trainings: float | None = None):
        table = pq.read_table(path)
        frame = table.to_pandas()
        self.name = path.stem
        task = json.loads(table.schema.metadata[b"task"])
        self.space: TaskSpace = task["space"]
        self.kinds: tuple[str, ...] = tuple(task.get("kinds", ()))
        self.base: dict[str, Any] = task.get("base", {})
        self.rungs: list[int] = task.get("rungs", [])
        self.curves = np.stack(frame["curve"])
        self.cost = frame["epoch_cost"].to_numpy()
        self.epochs = self.curves.shape[1]
        if trainings is None:
            number_of_kinds = math.prod(len(self.space[name]["values"]) for name in self.kinds)
            trainings = TRAININGS_PER_KIND * number_of_kinds if self.kinds else FULL_TRAININGS
        self.cost_of_run = trainings * self.epochs * self.cost.mean()
        reached = self.curves.max(axis=1)
        has_second = "second_curve" in frame
        self.scores = np.stack(frame["second_curve"]).max(axis=1) if has_second else reached
        self._best, self._median = self.scores.max(), np.median(self.scores)
        columns = {name: frame[name].tolist() for name in self.space}
        values = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        self.points = np.array([self._point(params) for params in values])
        self._choices = [spec["kind"] == "choice" for spec in self.space.values()]

    def _point(self, params: Params) -> list[float]:
        return [self._unit(name, params[name]) if is_active(spec, params) else 0.0 for name, spec in self.space.items()]

    def _unit(self, name: str, value: Any) -> float:
        """Returns a hyperparameter's value on the scale from 0 (low) to 1 (high), the place of a choice."""
        spec = self.space[name]
        if spec["kind"] == "choice":
            return float(spec["values"].index(value))
        scale = math.log if spec["log"] else float
        low, high = scale(spec["low"]), scale(spec["high"])
        return (scale(value) - low) / (high - low)

    def nearest(self, params: Params, used: np.ndarray) -> int:
        """Returns the nearest configuration with the same choices that is not used yet; if all are, the nearest."""
        point = np.array(self._point(params))
        distance = ((self.points - point) ** 2).sum(axis=1)
        distance[(self.points != point)[:, self._choices].any(axis=1)] = np.inf
        unused = np.where(used, np.inf, distance)
        return int((unused if np.isfinite(unused).any() else distance).argmin())

    def curve(self, row: int) -> np.ndarray:
        """Returns the metric of a configuration, or of the base, after each epoch."""
        return np.array(self.base["curve"]) if row == BASE else self.curves[row]

    def epoch_cost(self, row: int) -> float:
        """Returns what an epoch of a configuration, or of the base, costs."""
        return float(self.base["epoch_cost"] if row == BASE else self.cost[row])

    def score(self, row: int) -> float:
        """Returns what the choice of a configuration, or of the base, is worth."""
        return float(np.mean(self.base["scores"]) if row == BASE else self.scores[row])

    def regret(self, score: float) -> float:
        """Returns the normalised regret of a choice: 0 for the best recorded score, 100 for the median one."""
        return min(100.0, 100.0 * (self._best - score) / (self._best - self._median))

    def is_below_base(self, row: int) -> bool:
        """Whether the choice of a configuration is worth less than the base, by more than noise."""
        scores = self.base["scores"]
        return self.score(row) < np.mean(scores) - NOISE * np.std(scores, ddof=1)


def write_table(
    path: Path,
    space: Mapping[str, Mapping[str, Any]],
    params: Sequence[Mapping[str, Any]],
    curves: Curves,
    costs: Sequence[float],
    kinds: Sequence[str] = (),
    further: Mapping[str, Curves] | None = None,
    base: Mapping[str, Any] | None = None,
    rungs: Sequence[int] = (),
) -> None:
    """Writes a task, named after its file.

    Args:
        path: of the file, which is written anew.
        space: kind, low, high and log of each hyperparameter; of a choice, kind and values; `when`, if it is not always
            active, has the values that others must have.
        params: values of the hyperparameters, for each configuration; one that is not active is left out.
        curves: the metric after each epoch, higher is better, for each configuration.
        costs: of an epoch, for each configuration.
        kinds: the hyperparameters whose values make kinds, as `search: kinds` names them.
        further: other curves of each configuration, by name of the column.
        base: what is known of the base config: its values, its curve, and its scores with other seeds.
        rungs: the epochs at which a search places them by the schedule of the base.
    """
    table = pa.table(
        {
            **{name: [values.get(name) for values in params] for name in space},
            "curve": pa.array(curves, pa.list_(pa.float32())),
            **{name: pa.array(values, pa.list_(pa.float32())) for name, values in (further or {}).items()},
            "epoch_cost": costs,
        }
    )
    task = {"task": path.stem, "metric": "higher is better", "space": space}
    task |= ({"kinds": list(kinds)} if kinds else {}) | ({"base": base} if base else {})
    task |= {"rungs": list(rungs)} if rungs else {}
    pq.write_table(table.replace_schema_metadata({"task": json.dumps(task)}), path)
