"""The bridge to Optuna's samplers.

Nothing of Optuna's outlives a sample: each time a study is filled from the trials, with what is true of them and what
the sampler can learn from:

- tpe is told every epoch of every trial. One that was stopped early, waits or runs is PRUNED; TPE ranks such trials by
  epoch first and value second.
- gp, nsga2 and cmaes learn from COMPLETE trials alone, and so does every sampler that has several objectives. They are
  told one value a trial, that of its best epoch, also of one that was stopped early: docs/search_quality.md has what
  else was measured.
- A trial that failed violates a constraint, which keeps samplers away from where it was; FAIL none of them reads.
"""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from configs.metric_names import best_row, direction, sign
from search.engine.samplers.sampler import KnownTrial, Sample
from search.record.history import with_result
from search.record.outcomes import ENDED, State
from search.record.pareto import objective_values
from search.space.distributions import Distribution
from search.space.items import Parameter
from search.space.options import SearchOptions
from search.space.space import Space

MakeSampler = Callable[[int, int], BaseSampler]  # from a seed and an attempt, counted from 0


class OptunaSampler:
    """A sampler of Optuna's.

    Args:
        make: makes it from a seed and an attempt, counted from 0.
        options: seed and objectives.
        space: what is sampled.
        sees_running: whether it is told where trials run now.
        takes_incomplete: whether it takes each parameter by itself.
    """

    def __init__(
        self,
        make: MakeSampler,
        options: SearchOptions,
        space: Space,
        sees_running: bool = False,
        takes_incomplete: bool = False,
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._make = make
        self._options = options
        self._space = space
        self._ranges = {parameter.name: parameter.distribution for parameter in space.parameters}
        self._sees_running = sees_running
        self.takes_incomplete = takes_incomplete
        self._frozen_trials: dict[tuple[int, int, str], FrozenTrial] = {}  # by number, epochs and state
        self._sampler(0, 0)  # a package may be missing

    def _sampler(self, seed: int, attempt: int) -> BaseSampler:
        with warnings.catch_warnings():  # options that Optuna calls experimental are what the space file asks for
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return self._make(seed, attempt)

    def propose(self, trials: Sequence[KnownTrial], given: Mapping[str, Any], number: int, attempt: int) -> Sample:
        directions = [direction(name) for name in self._options.objectives]
        seed = int(np.random.SeedSequence([self._options.seed, number, attempt]).generate_state(1)[0])
        study = optuna.create_study(directions=directions, sampler=self._sampler(seed, attempt))
        study.add_trials(self.as_optuna_trials(trials))
        trial = study.ask()

        def choose(parameter: Parameter) -> Any:
            if parameter.name in given:
                return given[parameter.name]
            return parameter.distribution.decode(_suggest(trial, parameter.name, parameter.distribution))

        point = self._space.point(choose)
        asked = study.tell(trial, state=TrialState.FAIL)  # the point comes back from the history, if it is trained
        return Sample(point, dict(asked.system_attrs))

    def as_optuna_trials(self, trials: Sequence[KnownTrial]) -> list[FrozenTrial]:
        """Returns what Optuna is told of trials; see the head of this file."""
        learns_from = self._options.sampler_spec.learns_from
        fitting = [trial for trial in trials if trial.sampled is not None]
        if learns_from == "nothing":
            return []
        records = [trial.record for trial in fitting]
        by_value = learns_from == "values" or bool(self._options.others)
        values: dict[int, tuple[float, ...]] = {}
        if by_value:
            values = {r.number: objective_values(r, self._options.objectives) for r in with_result(records)}
        # gp wants the same constraints of all trials; without any, it need not model them
        satisfied = {"failed": 0.0} if any(record.state == State.FAILED for record in records) else None
        told = []
        for trial in fitting:
            record = trial.record
            if record.state == State.FAILED:
                told.append(self._failed(trial, values))
            elif record.number in values and record.state in ENDED:
                value = values[record.number]
                told.append(self._frozen(trial, TrialState.COMPLETE, values=value, constraints=satisfied))
            elif not by_value and record.rows:  # also of one that runs: what it has shown is known
                told.append(self._with_epochs(trial))
            elif self._sees_running:
                told.append(self._frozen(trial, TrialState.RUNNING))
        return told

    def _with_epochs(self, trial: KnownTrial) -> FrozenTrial:
        record = trial.record
        key = (record.number, len(record.rows), record.state)
        if key not in self._frozen_trials:
            metric = self._options.metric
            best = (best_row(metric, record.rows)[metric],) if record.state == State.DONE else None
            self._frozen_trials[key] = self._frozen(
                trial,
                TrialState.COMPLETE if best else TrialState.PRUNED,
                values=best,
                intermediate_values={row["epoch"]: row[metric] for row in record.rows},
            )
        return self._frozen_trials[key]

    def _failed(self, trial: KnownTrial, values: Mapping[int, tuple[float, ...]]) -> FrozenTrial:
        worst = None
        if values:
            columns = zip(self._options.objectives, zip(*values.values(), strict=True), strict=True)
            worst = tuple(sign(name) * min(sign(name) * value for value in column) for name, column in columns)
        state = TrialState.COMPLETE if worst else TrialState.PRUNED
        return self._frozen(trial, state, values=worst, constraints={"failed": 1.0})

    def _frozen(self, trial: KnownTrial, state: TrialState, **more: Any) -> FrozenTrial:
        sampled = trial.sampled or {}
        used = {name: self._ranges[name] for name in sampled}
        frozen = create_trial(
            state=state,
            params={name: distribution.encode(sampled[name]) for name, distribution in used.items()},
            distributions={name: distribution.to_optuna() for name, distribution in used.items()},
            system_attrs=dict(trial.record.notes),
            **more,
        )
        frozen.__class__ = _SharedTrial
        return frozen


class _SharedTrial(FrozenTrial):
    """A trial that no study changes: they all have it in common, where Optuna would copy all that is in it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return copy.copy(self)


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
