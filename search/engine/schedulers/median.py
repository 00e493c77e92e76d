"""The median stopping rule (Golovin et al. 2017), as Ray Tune's MedianStoppingRule has it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from search.engine.schedulers.each_kind import EachKind
from search.engine.schedulers.scheduler import CONTINUE, STOP, Answer, Scheduler, Setup
from search.record.outcomes import State

Row = Mapping[str, Any]


class MedianRule(Scheduler):
    """Stops a trial whose best value is worse than the median of the others' means so far.

    Args:
        metric: by which trials are compared.
        mode: whether it is to be `min` or `max`.
        grace_period: epochs that every trial trains, and that no mean counts before.
        min_samples_required: other trials that must have come as far.
    """

    def __init__(self, metric: str, mode: str, grace_period: int, min_samples_required: int):
        self._metric, self._sign = metric, 1.0 if mode == "max" else -1.0
        self._grace, self._needed = grace_period, min_samples_required
        self._rows: dict[int, list[Row]] = {}  # by trial

    def reach(self, number: int, row: Row) -> Answer:
        epoch, own = row["epoch"], self._rows.setdefault(number, [])
        own.append(row)
        if epoch < self._grace:
            return CONTINUE
        others = [rows for other, rows in self._rows.items() if other != number and rows[-1]["epoch"] >= epoch]
        means = [mean for rows in others if (mean := self._mean(rows, epoch)) is not None]
        if len(means) < self._needed:
            return CONTINUE
        best = max(self._sign * one[self._metric] for one in own)
        return STOP if self._sign * float(np.median(means)) > best else CONTINUE

    def _mean(self, rows: list[Row], epoch: int) -> float | None:
        """Returns the mean of a trial's values up to an epoch, None if it has none."""
        values = [row[self._metric] for row in rows if self._grace <= row["epoch"] <= epoch]
        return float(np.mean(values)) if values else None

    def end(self, number: int, state: State) -> None:
        # Ray Tune counts the last report of a trial that has ended twice; searches that began with it go on so.
        if state != State.FAILED and number in self._rows:
            self._rows[number].append(self._rows[number][-1])


def build(setup: Setup) -> Scheduler:
    """Builds it."""
    options = setup.options
    chosen = options.scheduler_options
    rule = options.metric, options.mode, chosen["grace_period"], chosen["min_samples_required"]
    return EachKind(lambda: MedianRule(*rule), setup.kind_of)
