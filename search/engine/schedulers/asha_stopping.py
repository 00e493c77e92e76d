"""ASHA's type: stopping, as Ray Tune's AsyncHyperBandScheduler has it: decides at once, and for good."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from search.engine.schedulers.scheduler import CONTINUE, STOP, Answer, Scheduler


class StoppingRungs(Scheduler):
    """Stops a trial that is below the quantile of what its rung has seen before.

    Args:
        metric: by which trials are compared.
        mode: whether it is to be `min` or `max`.
        grace_period: the epoch of the first rung; the others follow by powers of reduction_factor.
        reduction_factor: one of so many trials goes on.
        last_epoch: after which every trial ends.
    """

    def __init__(self, metric: str, mode: str, grace_period: int, reduction_factor: float, last_epoch: int):
        self._metric, self._sign = metric, 1.0 if mode == "max" else -1.0
        self._quantile = (1 - 1 / reduction_factor) * 100
        self._last_epoch = last_epoch
        number = int(np.log(last_epoch / grace_period) / np.log(reduction_factor) + 1)
        # by rung, the highest first, then by trial
        self.values: dict[float, dict[int, float]] = {
            grace_period * reduction_factor**power: {} for power in reversed(range(number))
        }

    def reach(self, number: int, row: Mapping[str, Any]) -> Answer:
        epoch, value = row["epoch"], self._sign * row[self._metric]
        if epoch >= self._last_epoch:
            return STOP
        for rung, values in self.values.items():
            if epoch >= rung and number not in values:
                cutoff = np.percentile([*values.values()], self._quantile) if values else value
                values[number] = value
                return STOP if value < cutoff else CONTINUE
        return CONTINUE
