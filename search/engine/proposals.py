"""New samples: what the sampler proposes, as long as it is new and can be trained.

A sample is a function of the search's seed, the trial's number and what is known so far. Where kinds are kept apart
(kinds.py), their ends decide of which kind a sample is, and the sampler decides the rest: by itself it would take a
kind that starts slowly for a bad one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from configs.lineage import LINEAGE
from configs.metric_names import best_row, sign
from search.engine.kinds import NEXT_BEST, shares
from search.engine.samplers.sampler import KnownTrial, Sample, build_sampler
from search.record.history import TrialRecord
from search.record.outcomes import State
from search.space.distributions import Choice
from search.space.kinds import deciding_values, kind_of
from search.space.options import SearchOptions
from search.space.space import DRAWN, Point, Space
from search.space.start import base_parameters

ATTEMPTS = 20  # with the sampler, before a point is drawn at random
NEAR = 0.05  # of each range: samples that are nearer to each other than this in all parameters tell the same
LAST_DRAWN = 100 * DRAWN  # points that are drawn then

OUTSIDE = "outside"  # the note of a sample with values outside their ranges, which `start: [defaults]` may have

Given = Mapping[str, Any]  # values, by name of the parameter


class Proposals:
    """Makes samples.

    Args:
        space: what is sampled.
        options: sampler, seed and objectives.
    """

    def __init__(self, space: Space, options: SearchOptions):
        self._space = space
        self._options = options
        self.sampler = build_sampler(options, space)
        self._ranges = {parameter.name: parameter.distribution for parameter in space.parameters}
        self._seen: set[str] = set()
        self._samples: set[int] = set()  # numbers of trials that were sampled from this space
        self._sampled: dict[int, dict[str, Any]] = {}  # values of trials, by number, that the sampler learns from

    def add(self, number: int, point: Point) -> None:
        """Takes note of a sample, which is not made again, and from which the sampler learns."""
        self._note(number, point)
        self._samples.add(number)
        self._seen.add(_identity(point))

    def add_earlier(self, record: TrialRecord) -> None:
        """Takes note of a trial of a search that is resumed, which may have had another space."""
        if record.is_reference:
            self.add_reference(record)
        elif record.is_sample:
            settings = {key: value for key, value in record.settings.items() if key != LINEAGE}
            point = self._space.fits(record.params, settings, is_bounded=OUTSIDE not in record.notes)
            if point is not None:
                self.add(record.number, point)

    def add_reference(self, record: TrialRecord) -> None:
        """Takes note of the base config's trial: the sampler learns from what of it lies within the space."""
        known = [parameter for parameter in base_parameters(self._space) if parameter.key in record.params]
        sampled = {parameter.name: record.params[parameter.key] for parameter in known}
        if self.sampler.takes_incomplete or self._is_complete(sampled):
            self._note(record.number, Point(record.params, record.settings, sampled))

    def _is_complete(self, sampled: Given) -> bool:
        """Whether it has a value for each parameter that is active; the base may be none of the branches."""
        try:
            self._space.point_of(sampled)
        except KeyError:
            return False
        return True

    def _within(self, point: Point) -> dict[str, Any]:
        """Returns what was sampled, without values outside their range, which no sampler takes."""
        return {name: value for name, value in point.sampled.items() if self._ranges[name].contains(value)}

    def _note(self, number: int, point: Point) -> None:
        """Takes note of what of a trial can be told: all of it, or what a sampler can do with that lacks the rest."""
        within = self._within(point)
        if len(within) == len(point.sampled) or (within and self.sampler.takes_incomplete):
            self._sampled[number] = within

    def known(self, records: Iterable[TrialRecord]) -> list[KnownTrial]:
        """Returns what the sampler is told of trials."""
        return [KnownTrial(record, self._sampled.get(record.number)) for record in records]

    def sample(self, number: int, trials: Iterable[TrialRecord], given: Given | None = None) -> Sample | None:
        """Returns a point that is new and can be trained, None if there is none any more.

        Args:
            number: of the trial that it is for.
            trials: all before, in the order in which they ended.
            given: values of some parameters, which are not sampled.
        """
        sample = self._sample(number, list(trials), given or {})
        if sample is None or len(self._within(sample.point)) == len(sample.point.sampled):
            return sample
        return replace(sample, notes={**sample.notes, OUTSIDE: True})

    def _sample(self, number: int, records: list[TrialRecord], given: Given) -> Sample | None:
        if self._options.sampler_spec.tries_all:
            return self._next_of_all(number)
        of_kind = {} if given else self._of_next_kind(number, records)
        given = given or of_kind
        known = self.known(records)
        pending = self._pending(records)
        near: Sample | None = None
        for attempt in range(ATTEMPTS):
            sample = self.sampler.propose(known, given, number, attempt)
            if self._is_new(sample.point) and self._space.uses(sample.point, given):
                if not any(self._are_near(sample.point.sampled, other) for other in pending):
                    return sample
                near = near or sample
        if near is not None:
            return near
        completed = self._space.completed(given) if given else None
        if completed and self._is_new(completed):
            return Sample(completed)
        if self._space.size is not None:  # few: whatever is left
            return self._next_of_all(number)
        rng = self._rng(number, ATTEMPTS)
        drawn = chain(self._space.draws(rng, of_kind), (self._space.random_point(rng) for _ in range(LAST_DRAWN)))
        return next((Sample(point) for point in drawn if self._is_new(point)), None)

    def _of_next_kind(self, number: int, records: list[TrialRecord]) -> Given:
        """Returns values that make a sample of one kind, chosen by what the ends of kinds have shown; maybe none.

        Before any has been seen at its end, it is the kind with the fewest samples; then one that has not is as likely
        as the best, but for its failures. A kind of which all has been sampled is left out.
        """
        if not self._ways:
            return {}
        count = dict.fromkeys(self._ways, 0)
        failures = dict.fromkeys(self._ways, 0)
        ends: list[tuple[str, float]] = []
        metric, max_t = self._options.metric, self._options.scheduler_options.get("max_t")
        for record in records:
            if record.number not in self._samples:
                continue
            kind = kind_of(record.params, record.settings, self._options.kinds or (), self._space)
            if kind not in count:
                continue
            count[kind] += 1
            failures[kind] += record.state == State.FAILED
            is_cut_off = max_t is not None and len(record.rows) >= max_t and record.state == State.STOPPED
            if record.state == State.DONE or is_cut_off:
                ends.append((kind, sign(metric) * best_row(metric, record.rows)[metric]))
        rng = self._rng(number, ATTEMPTS + 1)
        kinds = list(self._ways)
        if ends:
            known = shares(ends)
            weights = np.array([known.get(kind, NEXT_BEST ** failures[kind]) for kind in kinds])
            order = [kinds[place] for place in rng.choice(len(kinds), len(kinds), False, weights / weights.sum())]
        else:
            order = sorted((kinds[place] for place in rng.permutation(len(kinds))), key=lambda kind: count[kind])
        ways = (self._ways[kind][place] for kind in order for place in rng.permutation(len(self._ways[kind])))
        return next((way for way in ways if any(map(self._is_new, self._space.draws(rng, way)))), {})

    @cached_property
    def _ways(self) -> dict[str, list[dict[str, Any]]]:
        """How each kind is made; empty where the sampler does not learn, or has several goals."""
        learns = self._options.sampler_spec.learns_from != "nothing"
        if not self._options.kinds or not learns or self._options.others:
            return {}
        return deciding_values(self._space, self._options.kinds)

    def _pending(self, records: Sequence[TrialRecord]) -> list[Given]:
        """Returns the samples that run and have not reported yet, if the sampler is to keep away from them."""
        if not self._options.sampler_spec.spreads:
            return []
        waited_for = [record.number for record in records if record.state == State.RUNNING and not record.rows]
        return [self._sampled[number] for number in waited_for if number in self._sampled]

    def _are_near(self, one: Given, other: Given) -> bool:
        """Whether two samples have the same choices, and numbers next to each other."""

        def is_near(name: str) -> bool:
            spread = self._ranges[name]
            if isinstance(spread, Choice):
                return bool(one[name] == other[name])
            return abs(spread.cdf(one[name]) - spread.cdf(other[name])) <= NEAR

        return one.keys() == other.keys() and all(map(is_near, one))

    def _is_new(self, point: Point) -> bool:
        return _identity(point) not in self._seen and not self._space.problems(point)

    def _rng(self, number: int, attempt: int) -> np.random.Generator:
        return np.random.default_rng([self._options.seed, number, attempt])

    def _next_of_all(self, number: int) -> Sample | None:
        """Returns one of the points of a finite space that are left, in an order that the seed decides."""
        left = [point for point in self._space.points() if _identity(point) not in self._seen]
        for position in self._rng(number, 0).permutation(len(left)):
            if not self._space.problems(left[position]):
                return Sample(left[position])
        return None


def _identity(point: Point) -> str:
    """Returns what tells a point from others: what is trained, whatever names its branches have."""
    return repr(sorted(point.settings.items()))
