"""ASHA's type: stopping, as Ray Tune's AsyncHyperBandScheduler has it: decides at once, and for good."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search.engine.schedulers.scheduler import CONTINUE, STOP, Answer, Scheduler
from search.record.outcomes import State


def powers(grace_period: int, reduction_factor: float, last_epoch: int) -> list[float]:
    """Returns the epochs of Ray Tune's rungs: grace_period times powers of reduction_factor, up to the last epoch."""
    number = int(np.log(last_epoch / grace_period) / np.log(reduction_factor) + 1)
    return [grace_period * reduction_factor**power for power in range(number)]


class StoppingRungs(Scheduler):
    """Stops a trial that is below the quantile of what its rung has seen before.

    Args:
        metric: by which trials are compared.
        mode: whether it is to be `min` or `max`.
        epochs: of the rungs, ascending.
        reduction_factor: one of so many trials goes on.
        last_epoch: after which every trial ends.
    """

    def __init__(self, metric: str, mode: str, epochs: Sequence[float], reduction_factor: float, last_epoch: int):
        self._metric, self._sign = metric, 1.0 if mode == "max" else -1.0
        self._quantile = (1 - 1 / reduction_factor) * 100
        self._last_epoch = last_epoch
        # by rung, the highest first, then by trial
        self.values: dict[float, dict[int, float]] = {epoch: {} for epoch in reversed(epochs)}
        self._last: dict[int, Mapping[str, Any]] = {}  # the last row of each trial

    def reach(self, number: int, row: Mapping[str, Any]) -> Answer:
        self._last[number] = row
        if row["epoch"] >= self._last_epoch:
            return STOP
        value = self._sign * row[self._metric]
        values = self._next_rung(number, row["epoch"])
        if values is None:
            return CONTINUE
        cutoff = np.percentile([*values.values()], self._quantile) if values else value
        values[number] = value
        return STOP if value < cutoff else CONTINUE

    def _next_rung(self, number: int, epoch: int) -> dict[int, float] | None:
        """Returns the values of the highest rung at or below an epoch that a trial is not counted at yet."""
        rungs = (values for rung, values in self.values.items() if epoch >= rung and number not in values)
        return next(rungs, None)

    def end(self, number: int, state: State) -> None:
        # Ray Tune counts the last report of a trial that has ended once more, at the next rung, if there is one.
        if state != State.FAILED and number in self._last:
            row = self._last[number]
            values = self._next_rung(number, row["epoch"])
            if values is not None:
                values[number] = self._sign * row[self._metric]
