"""The rungs of ASHA as it was published (Li et al. 2020): trials wait at a rung until they are among its best."""

import math
from collections.abc import Iterable

from search.events import TRIAL_FAILED, TRIAL_REPORTED, TRIAL_STARTED, Event


def milestones(grace_period: int, reduction_factor: float, total_epochs: int) -> list[int]:
    """Returns the epochs at which trials are compared: grace_period times powers of reduction_factor.

    The last epoch is none of them: who has reached it has finished.
    """
    epochs = []
    epoch = float(grace_period)
    while int(epoch) < total_epochs:
        if int(epoch) not in epochs:  # small factors give an epoch twice
            epochs.append(int(epoch))
        epoch *= reduction_factor
    return epochs


class Rungs:
    """Which trials wait where, and which of them may go on.

    Args:
        metric: by which trials are compared at a rung.
        mode: whether the metric is to be `min` or `max`.
        epochs: of the rungs, from `milestones`.
        reduction_factor: one in so many of a rung's trials goes on.
    """

    def __init__(self, metric: str, mode: str, epochs: list[int], reduction_factor: float):
        self.metric = metric
        self._sign = 1.0 if mode == "max" else -1.0
        self._factor = reduction_factor
        self._values: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}  # by rung, then by trial
        self._waiting: dict[int, int] = {}  # the rung of each trial that waits

    def reach(self, number: int, result: dict[str, float]) -> bool:
        """Takes note of a trial's report and returns whether the trial has reached a rung, where it now waits."""
        epoch = int(result["epoch"])
        self.leave(number)
        if epoch not in self._values:
            return False
        self._values[epoch][number] = self._sign * result[self.metric]
        self._waiting[number] = epoch
        return True

    def next(self, is_full: bool = False) -> int | None:
        """Returns the number of the trial that may go on first, None if all have to wait.

        It is the best that waits at the highest rung where one waits among the best; of equals, the earliest trial.

        Args:
            is_full: whether no trial is to come any more: then the number of the best is rounded up, so that a search
                with few trials trains one of them to its end, too.
        """
        rounded = math.ceil if is_full else math.floor
        for epoch in sorted(self._values, reverse=True):
            values = self._values[epoch]
            best = sorted(values, key=lambda number: (-values[number], number))[: rounded(len(values) / self._factor)]
            for number in best:
                if self._waiting.get(number) == epoch:
                    return number
        return None

    def leave(self, number: int) -> None:
        """Takes note that a trial waits no longer: it goes on, or it has failed."""
        self._waiting.pop(number, None)

    def replay(self, events: Iterable[Event]) -> list[int]:
        """Fills the rungs with what happened before, and returns the numbers of the trials that wait."""
        for event in events:
            if event.trial is None:
                continue
            if event.kind == TRIAL_REPORTED:
                self.reach(event.trial, event.data["metrics"])
            elif event.kind in (TRIAL_STARTED, TRIAL_FAILED):
                self.leave(event.trial)
        return list(self._waiting)
