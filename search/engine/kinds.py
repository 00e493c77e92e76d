"""Kinds of trials that learn at different speeds: which of them are trained more.

After few epochs a kind that learns slowly looks worse than it is, so that trials are compared within their kind alone
until some of each have been seen at their end. From then on, the better the best end of a kind is, the more of its
trials are sampled and go on. docs/search_quality.md has the figures behind the numbers.
"""

import math
from collections.abc import Container, Iterable, Mapping

WHOLE = 3  # trials of each kind that are trained to their end, whatever rungs are in between
SAMPLES_OF_WHOLE = 3  # each of them the best of so many
NEXT_BEST = 0.5  # what a kind gets, beside the next better one


def shares(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Returns what each kind that has been seen at its end gets beside the best one, which gets 1.

    Args:
        values: kind and value of each trial that has come to its end, higher is better.
    """
    ends: dict[str, float] = {}
    for kind, value in values:
        ends[kind] = max(value, ends.get(kind, value))
    ranked = sorted(ends, key=lambda kind: (-ends[kind], kind))
    return {kind: NEXT_BEST**place for place, kind in enumerate(ranked)}


def divided(places: int, shares_of: Mapping[str, float], most: Mapping[str, int]) -> dict[str, int]:
    """Divides places among kinds by their shares: each goes to the kind that has least for its share (D'Hondt).

    Args:
        places: to be divided.
        shares_of: each kind, above 0.
        most: that each kind can take.
    """
    if len(shares_of) == 1:
        return {kind: min(places, most[kind]) for kind in shares_of}
    given = dict.fromkeys(shares_of, 0)
    for _ in range(min(places, sum(most.values()))):
        free = [kind for kind in shares_of if given[kind] < most[kind]]
        given[min(free, key=lambda kind: ((given[kind] + 1) / shares_of[kind], -shares_of[kind], kind))] += 1
    return given


class Kinds:
    """Of which kind trials are, which of them are trained whole, and what the ends have shown.

    Args:
        last_epoch: of a whole training.
        are_apart: whether kinds are kept apart; else all trials are of one.
    """

    def __init__(self, last_epoch: float = math.inf, are_apart: bool = False):
        self.are_apart = are_apart
        self._last_epoch = last_epoch
        self._kinds: dict[int, str] = {}  # by trial
        self._best: dict[int, float] = {}  # value of each trial so far, higher is better
        self._ended: set[int] = set()
        self._whole: dict[str, list[int]] = {}  # trials that are trained whole

    def join(self, number: int, kind: str) -> None:
        """Takes note of which kind a trial is."""
        self._kinds[number] = kind

    def report(self, number: int, epoch: int, value: float) -> None:
        """Takes note of what a trial has reached, higher is better."""
        self._best[number] = max(value, self._best.get(number, -math.inf))
        if epoch >= self._last_epoch:
            self._ended.add(number)

    def fail(self, number: int) -> None:
        """Takes note that a trial has failed; another of its kind is trained whole in its place."""
        self._ended.discard(number)
        if self.is_whole(number):
            self._whole[self.of(number)].remove(number)

    def of(self, number: int) -> str:
        """Returns the kind of a trial."""
        return self._kinds[number] if self.are_apart else ""

    def grouped(self, numbers: Iterable[int]) -> dict[str, list[int]]:
        """Returns trials by their kind, in the order in which they are given."""
        groups: dict[str, list[int]] = {}
        for number in numbers:
            groups.setdefault(self.of(number), []).append(number)
        return groups

    def shares(self) -> dict[str, float]:
        """Returns what each kind gets beside the best; none that has not been seen at its end."""
        if not self.are_apart:
            return {"": 1.0}
        return shares((self.of(number), self._best[number]) for number in self._ended)

    def is_whole(self, number: int) -> bool:
        """Whether a trial is trained to its end."""
        return self.are_apart and number in self._whole.get(self.of(number), ())

    def passes_first_rung(self, number: int, reached: Container[int]) -> None:
        """Takes note that a trial goes on from its first rung: the first ones of a kind are trained whole.

        Args:
            number: of the trial.
            reached: all trials that have reached that rung.
        """
        whole = self._whole.setdefault(self.of(number), [])
        if self.are_apart and sum(other in reached for other in whole) < WHOLE and number not in whole:
            whole.append(number)

    def next_whole(self, ranked: Iterable[int], is_full: bool) -> list[int]:
        """Returns which trials at a first rung may be trained whole next, the most promising kind's first.

        When no trial is to come any more, kinds of which none has been trained whole come before the others.

        Args:
            ranked: the trials at the rung, the best first.
            is_full: whether no trial is to come any more: then kinds of few trials count, too.
        """
        if not self.are_apart:
            return []
        groups = self.grouped(ranked)
        rounded = math.ceil if is_full else math.floor
        taken = {kind: set(numbers).intersection(self._whole.get(kind, ())) for kind, numbers in groups.items()}
        places = {kind: min(WHOLE, rounded(len(numbers) / SAMPLES_OF_WHOLE)) for kind, numbers in groups.items()}
        # a kind may have more, by its share; they are no others' loss
        used = sum(min(len(taken[kind]), places[kind]) for kind in groups)
        if used >= rounded(sum(map(len, groups.values())) / SAMPLES_OF_WHOLE):
            return []
        order = sorted(groups, key=lambda kind: bool(taken[kind])) if is_full else list(groups)
        waiting = [kind for kind in order if len(taken[kind]) < places[kind]]
        return [number for kind in waiting for number in groups[kind] if number not in taken[kind]]
