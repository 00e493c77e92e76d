"""The rungs of ASHA as it was published (Li et al. 2020): trials wait at a rung until they are among its best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from search.engine.kinds import Kinds, divided
from search.record.events import Promotion


def milestones(grace_period: int, reduction_factor: float, last_epoch: int) -> list[int]:
    """Returns the epochs at which trials are compared, the first of them grace_period.

    They stand evenly, on a logarithmic scale, between grace_period and the last epoch, as many as make the step between
    them nearest to reduction_factor. With powers of it, the last rung might stand just before the end, as in 1, 4 and
    16 of 20 epochs: it would save next to nothing, and 64 trials would begin before one comes to its end. The last
    epoch is no rung: who has reached it has finished.
    """
    if grace_period >= last_epoch:
        return []
    ratio = last_epoch / grace_period
    steps = max(1, round(math.log(ratio, reduction_factor)))
    epochs = [round(grace_period * ratio ** (step / steps)) for step in range(steps)]
    return [epoch for epoch in dict.fromkeys(epochs) if epoch < last_epoch]  # small factors give an epoch twice


def rung_epochs(options: Mapping[str, Any], last_epoch: int) -> list[int]:
    """Returns the epochs of rungs: those that the options of a scheduler give, or `milestones`."""
    if "rungs" in options:
        return [epoch for epoch in options["rungs"] if epoch < last_epoch]
    return milestones(options["grace_period"], options["reduction_factor"], last_epoch)


class Rungs:
    """Which trials wait where, and which of them may go on.

    Args:
        metric: by which trials are compared at a rung.
        mode: whether the metric is to be `min` or `max`.
        epochs: of the rungs, ascending.
        reduction_factor: one in so many of a rung's trials goes on.
        kinds: of the trials; None: all are of one.
    """

    def __init__(self, metric: str, mode: str, epochs: list[int], reduction_factor: float, kinds: Kinds | None = None):
        self._kinds = kinds or Kinds()
        self._metric = metric
        self._sign = 1.0 if mode == "max" else -1.0
        self._factor = reduction_factor
        self._values: dict[int, dict[int, float]] = {epoch: {} for epoch in epochs}  # by rung, then by trial
        self._waiting: dict[int, int] = {}  # the rung of each trial that waits

    @property
    def epochs(self) -> list[int]:
        """After which trials are compared."""
        return list(self._values)

    def reach(self, number: int, result: Mapping[str, Any]) -> bool:
        """Takes note of a trial's report and returns whether the trial has reached a rung, where it now waits."""
        epoch, value = int(result["epoch"]), self._sign * result[self._metric]
        self.leave(number)
        self._kinds.report(number, epoch, value)
        if epoch not in self._values:
            return False
        self._values[epoch][number] = value
        self._waiting[number] = epoch
        return True

    def next(self, is_full: bool = False) -> int | None:
        """Returns the number of the trial that may go on first, None if all have to wait.

        It is the best that waits at the highest rung where one waits among the best; of equals, the earliest trial.
        Where kinds are kept apart, one that is trained whole goes before the others of its rung.

        Args:
            is_full: whether no trial is to come any more: then the number of the best is rounded up, so that a search
                with few trials trains one of them to its end, too.
        """
        found = self.highest(is_full)
        return found[1] if found else None

    def highest(self, is_full: bool) -> tuple[int, int] | None:
        """Returns rung and number of the trial that may go on first."""
        for epoch in sorted(self._values, reverse=True):
            for number in self._may_go_on(epoch, is_full):
                if self._waiting.get(number) == epoch:
                    return epoch, number
        return None

    def _may_go_on(self, epoch: int, is_full: bool) -> list[int]:
        """Returns which trials may go on from a rung, or have done so, those that go first at the head."""
        ranked = self._ranked(epoch)
        if epoch == self.epochs[0]:
            whole = self._kinds.next_whole(ranked, is_full)
        else:
            whole = [number for number in ranked if self._kinds.is_whole(number)]
        groups, shares = self._kinds.grouped(ranked), self._kinds.shares()
        places = (math.ceil if is_full else math.floor)(len(ranked) / self._factor)
        given = divided(places, shares, {kind: len(groups.get(kind, ())) for kind in shares})
        return [*whole, *(number for kind in shares for number in groups.get(kind, ())[: given[kind]])]

    def _ranked(self, epoch: int) -> list[int]:
        """Returns the trials that have reached a rung, the best first."""
        values = self._values[epoch]
        return sorted(values, key=lambda number: (-values[number], number))

    def leave(self, number: int) -> Promotion | None:
        """Takes note that a trial goes on, and returns why; None if it did not wait."""
        epoch = self._waiting.pop(number, None)
        if epoch is None:
            return None
        if epoch == self.epochs[0]:
            self._kinds.passes_first_rung(number, self._values[epoch])
        ranked, kind = self._ranked(epoch), self._kinds.of(number)
        own = self._kinds.grouped(ranked)[kind]
        place, is_whole = own.index(number) + 1, self._kinds.is_whole(number)
        return Promotion(epoch, len(ranked), kind, place, len(own), is_whole)

    def withdraw(self, number: int) -> None:
        """Takes note that a trial does not go on; what it has reached still counts."""
        self._waiting.pop(number, None)

    def fail(self, number: int) -> None:
        """Takes note that a trial has failed, and gives its place at the rungs to others."""
        self._waiting.pop(number, None)
        self._kinds.fail(number)
        for values in self._values.values():
            values.pop(number, None)


class Brackets:
    """Asynchronous Hyperband (Li et al. 2020, section 3.3): rungs that begin early for many trials, later for fewer.

    Args:
        brackets: the one that begins earliest first.
        shares: how many of the trials each gets, as weights.
    """

    def __init__(self, brackets: Sequence[Rungs], shares: Sequence[float]):
        self._brackets = brackets
        self._shares = shares
        self._places: list[int] = []  # the bracket of each trial, by number

    @property
    def epochs(self) -> list[int]:
        """As of Rungs; those of the first bracket, which has them all."""
        return self._brackets[0].epochs

    def _of(self, number: int) -> Rungs:
        """Returns the bracket of a trial, which depends on its number alone."""
        while len(self._places) <= number:
            total = len(self._places) + 1
            missing = [
                share / sum(self._shares) * total - self._places.count(place)
                for place, share in enumerate(self._shares)
            ]
            self._places.append(missing.index(max(missing)))
        return self._brackets[self._places[number]]

    def reach(self, number: int, result: Mapping[str, Any]) -> bool:
        """As of Rungs."""
        return self._of(number).reach(number, result)

    def next(self, is_full: bool = False) -> int | None:
        """As of Rungs; of several brackets, the trial that has come furthest."""
        found = [one for bracket in self._brackets if (one := bracket.highest(is_full))]
        return max(found, key=lambda one: (one[0], -one[1]))[1] if found else None

    def leave(self, number: int) -> Promotion | None:
        """As of Rungs."""
        return self._of(number).leave(number)

    def withdraw(self, number: int) -> None:
        """As of Rungs."""
        self._of(number).withdraw(number)

    def fail(self, number: int) -> None:
        """As of Rungs."""
        self._of(number).fail(number)


def hyperband(
    metric: str, mode: str, epochs: list[int], reduction_factor: float, kinds: Kinds | None = None
) -> Brackets:
    """Returns the brackets of Hyperband (Li et al. 2018, algorithm 1).

    Args:
        metric: by which trials are compared.
        mode: whether the metric is to be `min` or `max`.
        epochs: of the rungs of the bracket that begins earliest.
        reduction_factor: of rungs and of brackets.
        kinds: of the trials, those of all brackets.
    """
    most = len(epochs)
    brackets, shares = [], []
    for step in range(most + 1):  # step `most` has no rung
        brackets.append(Rungs(metric, mode, epochs[step:], reduction_factor, kinds))
        shares.append(math.ceil((most + 1) / (most - step + 1) * reduction_factor ** (most - step)))
    return Brackets(brackets, shares)
