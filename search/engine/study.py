"""The bridge to Optuna: a sample is a function of the search's seed, the trial's number and what is known so far.

Nothing of Optuna's outlives a sample that could not be made again from the history: the study is filled from the
trials, with what is true of them and what the sampler can learn from:

- tpe is told every epoch of every trial. One that was stopped early, waits or runs is PRUNED; TPE ranks such trials by
  epoch first and value second.
- gp, nsga2 and cmaes learn from COMPLETE trials alone, and so does every sampler that has several objectives. They are
  told one value a trial, that of its best epoch, also of one that was stopped early: docs/search_quality.md has what
  else was measured.
- Where kinds are kept apart (kinds.py), their ends decide of which kind a sample is, and the sampler decides the rest:
  by itself it would take a kind that starts slowly for a bad one.
- A trial that failed violates a constraint, which keeps samplers away from where it was; FAIL none of them reads.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import qmc

from configs.metric_names import METRICS, best_row, sign
from search.engine.kinds import NEXT_BEST, shares
from search.engine.sampler import OWN_SAMPLERS, build_sampler, sampler_kind
from search.record.history import DONE, FAILED, FINISHED, STOPPED, TrialRecord, with_result
from search.record.pareto import objective_values
from search.space.distributions import Distribution
from search.space.items import Parameter
from search.space.kinds import deciding_values, kind_of
from search.space.options import SearchOptions
from search.space.space import DRAWN, Point, Space
from search.space.start import base_parameters

ATTEMPTS = 20  # with the sampler, before a point is drawn at random
LAST_DRAWN = 100 * DRAWN  # points that are drawn then

OUTSIDE = "outside"  # the note of a sample with values outside their ranges, which `start: [defaults]` may have

Given = Mapping[str, Any]  # values, by name of the parameter


@dataclass(frozen=True)
class Sample:
    """A new point.

    Attributes:
        point: what is to be trained.
        notes: what the sampler wants to know of it later.
    """

    point: Point
    notes: dict[str, Any]


class Study:
    """Makes samples.

    Args:
        space: what is sampled.
        options: sampler, seed and objectives.
    """

    def __init__(self, space: Space, options: SearchOptions):
        self._space = space
        self._options = options
        self._ranges = {parameter.name: parameter.distribution for parameter in space.parameters}
        self._seen: set[str] = set()
        self._samples: set[int] = set()  # numbers of trials that were sampled from the space
        self._told: dict[int, dict[str, Any]] = {}  # values of trials, by number, that Optuna is told
        self._frozen_trials: dict[tuple[int, int, str], FrozenTrial] = {}  # by number, epochs and state

    def add(self, number: int, point: Point) -> None:
        """Takes note of a trial's point, which is not sampled again."""
        self._note(number, point)
        self._samples.add(number)
        self._seen.add(_identity(point))

    def add_reference(self, record: TrialRecord) -> None:
        """Takes note of the base config's trial: the sampler learns from what of it lies within the space."""
        known = [parameter for parameter in base_parameters(self._space) if parameter.key in record.params]
        sampled = {parameter.name: record.params[parameter.key] for parameter in known}
        if self._takes_each() or self._is_complete(sampled):
            self._note(record.number, Point(record.params, record.settings, sampled))

    def _is_complete(self, sampled: Given) -> bool:
        """Whether it has a value for each parameter that is active; the base may be none of the branches."""
        try:
            self._space.point_of(sampled)
        except KeyError:
            return False
        return True

    def _takes_each(self) -> bool:
        """Whether the sampler takes each parameter by itself, so that a trial may lack some."""
        sampler = self._options.sampler
        return sampler.name == "tpe" and not sampler.options.get("multivariate")

    def _within(self, point: Point) -> dict[str, Any]:
        """Returns what was sampled, without values outside their range, which Optuna does not take."""
        return {name: value for name, value in point.sampled.items() if self._ranges[name].contains(value)}

    def _note(self, number: int, point: Point) -> None:
        """Takes note of what of a trial can be told: all of it, or what a sampler can do with that lacks the rest."""
        within = self._within(point)
        if len(within) == len(point.sampled) or (within and self._takes_each()):
            self._told[number] = within

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
        if self._options.sampler.name == "grid":
            return self._next_of_all(number)
        of_kind = {} if given else self._of_next_kind(number, records)
        given = given or of_kind
        sampling = self._quasi_random if self._options.sampler.name == "qmc" else self._with_optuna
        for attempt in range(ATTEMPTS):
            sample = sampling(number, attempt, records, given)
            if self._is_new(sample.point) and self._space.uses(sample.point, given):
                return sample
        completed = self._space.completed(given) if given else None
        if completed and self._is_new(completed):
            return Sample(completed, {})
        if self._space.size is not None:  # few: whatever is left
            return self._next_of_all(number)
        rng = self._rng(number, ATTEMPTS)
        drawn = chain(self._space.draws(rng, of_kind), (self._space.random_point(rng) for _ in range(LAST_DRAWN)))
        return next((Sample(point, {}) for point in drawn if self._is_new(point)), None)

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
            failures[kind] += record.state == FAILED
            if record.state == DONE or (max_t is not None and len(record.rows) >= max_t and record.state == STOPPED):
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
        sampler = self._options.sampler
        learns = sampler.name not in OWN_SAMPLERS and sampler_kind(sampler).learns_from != "nothing"
        if not self._options.kinds or not learns or self._options.others:
            return {}
        return deciding_values(self._space, self._options.kinds)

    def _is_new(self, point: Point) -> bool:
        return _identity(point) not in self._seen and not self._space.problems(point)

    def _rng(self, number: int, attempt: int) -> np.random.Generator:
        return np.random.default_rng([self._options.seed, number, attempt])

    def _next_of_all(self, number: int) -> Sample | None:
        """Returns one of the points of a finite space that are left, in an order that the seed decides."""
        left = [point for point in self._space.points() if _identity(point) not in self._seen]
        for position in self._rng(number, 0).permutation(len(left)):
            if not self._space.problems(left[position]):
                return Sample(left[position], {})
        return None

    def _quasi_random(self, number: int, attempt: int, records: list[TrialRecord], given: Given) -> Sample:
        """The next point of a sequence that fills the unit cube evenly; each parameter has a dimension of its own."""
        used = [record.notes["qmc_index"] for record in records if "qmc_index" in record.notes]
        index = max(used, default=-1) + 1 + attempt
        options = {"qmc_type": "sobol", "scramble": True, **self._options.sampler.options}
        engine = qmc.Sobol if options["qmc_type"] == "sobol" else qmc.Halton
        sequence = engine(len(self._space.parameters), scramble=options["scramble"], rng=self._options.seed)
        if index:
            sequence.fast_forward(index)
        names = [parameter.name for parameter in self._space.parameters]
        shares = dict(zip(names, sequence.random(1)[0], strict=True))
        point = self._space.point(
            lambda parameter: given.get(parameter.name, parameter.distribution.at(float(shares[parameter.name])))
        )
        return Sample(point, {"qmc_index": index})

    def _with_optuna(self, number: int, attempt: int, records: list[TrialRecord], given: Given) -> Sample:
        directions = [
            StudyDirection.MAXIMIZE if METRICS[name] == "max" else StudyDirection.MINIMIZE
            for name in self._options.objectives
        ]
        seed = int(np.random.SeedSequence([self._options.seed, number, attempt]).generate_state(1)[0])
        study = optuna.create_study(directions=directions, sampler=build_sampler(self._options.sampler, seed))
        study.add_trials(self.told(records))
        trial = study.ask()

        def choose(parameter: Parameter) -> Any:
            if parameter.name in given:
                return given[parameter.name]
            return parameter.distribution.decode(_suggest(trial, parameter.name, parameter.distribution))

        point = self._space.point(choose)
        asked = study.tell(trial, state=TrialState.FAIL)  # the point comes back from the history, if it is trained
        return Sample(point, dict(asked.system_attrs))

    def told(self, records: list[TrialRecord]) -> list[FrozenTrial]:
        """Returns what Optuna is told of trials; see the head of this file."""
        records = [record for record in records if record.number in self._told]  # the others do not fit the space
        kind = sampler_kind(self._options.sampler)
        if kind.learns_from == "nothing":
            return []
        told = []
        values = {}
        by_value = kind.learns_from == "values" or bool(self._options.others)
        if by_value:
            values = {r.number: objective_values(r, self._options.objectives) for r in with_result(records)}
        # gp wants the same constraints of all trials; without any, it need not model them
        satisfied = {"failed": 0.0} if any(record.state == FAILED for record in records) else None
        for record in records:
            if record.state == FAILED:
                told.append(self._failed(record, values))
            elif record.number in values and record.state in FINISHED:
                told.append(
                    self._frozen(record, TrialState.COMPLETE, values=values[record.number], constraints=satisfied)
                )
            elif not by_value and record.rows:  # also of one that runs: what it has shown is known
                told.append(self._with_epochs(record))
            elif kind.looks_at_running or self._options.sampler.options.get("constant_liar"):
                told.append(self._frozen(record, TrialState.RUNNING))
        return told

    def _with_epochs(self, record: TrialRecord) -> FrozenTrial:
        key = (record.number, len(record.rows), record.state)
        if key not in self._frozen_trials:
            metric = self._options.metric
            best = (best_row(metric, record.rows)[metric],) if record.state == DONE else None
            self._frozen_trials[key] = self._frozen(
                record,
                TrialState.COMPLETE if best else TrialState.PRUNED,
                values=best,
                intermediate_values={row["epoch"]: row[metric] for row in record.rows},
            )
        return self._frozen_trials[key]

    def _failed(self, record: TrialRecord, values: Mapping[int, tuple[float, ...]]) -> FrozenTrial:
        worst = None
        if values:
            columns = zip(self._options.objectives, zip(*values.values(), strict=True), strict=True)
            worst = tuple(sign(name) * min(sign(name) * value for value in column) for name, column in columns)
        state = TrialState.COMPLETE if worst else TrialState.PRUNED
        return self._frozen(record, state, values=worst, constraints={"failed": 1.0})

    def _frozen(self, record: TrialRecord, state: TrialState, **more: Any) -> FrozenTrial:
        sampled = self._told[record.number]
        used = {name: self._ranges[name] for name in sampled}
        frozen = create_trial(
            state=state,
            params={name: distribution.encode(sampled[name]) for name, distribution in used.items()},
            distributions={name: distribution.to_optuna() for name, distribution in used.items()},
            system_attrs=dict(record.notes),
            **more,
        )
        frozen.__class__ = _SharedTrial
        return frozen


class _SharedTrial(FrozenTrial):
    """A trial that no study changes: they all have it in common, where Optuna would copy all that is in it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return copy.copy(self)


def _identity(point: Point) -> str:
    """Returns what tells a point from others: what is trained, whatever names its branches have."""
    return repr(sorted(point.settings.items()))


def _suggest(trial: optuna.Trial, name: str, distribution: Distribution) -> Any:
    """Asks for a value of a parameter; Optuna has one method for each kind."""
    match distribution.to_optuna():
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_float(name, low, high, log=log, step=step)
        case IntDistribution(low=low, high=high, log=log, step=step):
            return trial.suggest_int(name, low, high, log=log, step=step)
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
    raise AssertionError("Optuna has three kinds of distributions")
