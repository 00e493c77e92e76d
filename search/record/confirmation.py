"""Repeats of the best configs with other seeds: which of them is really the best?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from scipy.stats import t

from configs.metric_names import sign
from search.record.history import History, TrialRecord
from search.record.outcomes import State

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Confirmed:
    """A config that was trained again with other seeds.

    Attributes:
        record: the trial that was repeated.
        values: of the metric, each the best epoch of a repeat.
        macs: multiply-accumulates for an image.
        params: numbers of the model.
        interval: half the width of the mean's confidence interval.
    """

    record: TrialRecord
    values: tuple[float, ...]
    macs: int
    params: int
    interval: float = math.nan

    @property
    def mean(self) -> float:
        """Of the values."""
        return fmean(self.values)

    def is_tied_with(self, other: "Confirmed") -> bool:
        """Whether the difference of the means is within noise."""
        return abs(self.mean - other.mean) <= half_width(self.values, other.values)


def half_width(values: Sequence[float], others: Sequence[float]) -> float:
    """Returns half the confidence interval of the difference of two means, by Student's t."""
    error = (stdev(values) ** 2 / len(values) + stdev(others) ** 2 / len(others)) ** 0.5
    return _quantile(len(values) + len(others) - 2) * error


def _with_intervals(found: Sequence[Confirmed]) -> list[Confirmed]:
    """Returns configs with their intervals, by Student's t.

    The noise of the seeds is taken to be the same for all, and pooled: two repeats of one config tell next to nothing
    of it.
    """
    degrees = sum(len(one.values) - 1 for one in found)
    noise = (sum(stdev(one.values) ** 2 * (len(one.values) - 1) for one in found) / degrees) ** 0.5 if found else 0.0
    return [replace(one, interval=_quantile(degrees) * noise / len(one.values) ** 0.5) for one in found]


def _quantile(degrees: int) -> float:
    return float(t.ppf((1 + CONFIDENCE) / 2, degrees))


def confirmed(history: History, metric: str, by_cost: bool = True) -> list[Confirmed]:
    """Returns the configs that were repeated twice or more, the winner first, then by their mean.

    Nobody wins, and the list is empty, as long as the best trial of all has no repeats.

    Args:
        history: of the search.
        metric: by which they are compared.
        by_cost: of those that are tied with the best within noise, the cheapest wins: by multiplications for an image,
            then by numbers of the model. Else the best mean wins: with few repeats nearly all are tied.
    """
    found = []
    repeats: dict[int, list[TrialRecord]] = {}  # by the number of the trial that they repeat
    for record in history.in_state(State.DONE):
        if record.confirms is not None:
            repeats.setdefault(record.confirms, []).append(record)
    for record in history.candidates():
        rows = [row for row in (repeat.best(metric) for repeat in repeats.get(record.number, [])) if row]
        if len(rows) >= 2:  # fewer tell no noise
            values = tuple(row[metric] for row in rows)
            found.append(Confirmed(record, values, rows[0]["macs"], rows[0]["params"]))
    best = history.best_trial(metric)
    if best is not None and all(one.record is not best for one in found):
        return []
    found = _with_intervals(found)
    found.sort(key=lambda one: (-sign(metric) * one.mean, not one.record.is_reference, one.record.number))
    tied = []
    if by_cost:  # no other is better by more than noise
        tied = [one for n, one in enumerate(found) if all(one.is_tied_with(better) for better in found[:n])]
    if tied:
        winner = min(tied, key=lambda one: (one.macs, one.params, -sign(metric) * one.mean))
        found = [winner, *(one for one in found if one is not winner)]
    return found
