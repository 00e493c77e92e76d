"""Schedulers by name: which trials are stopped early, or wait."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from search.engine.population import Population
from search.engine.rungs import Brackets, Rungs, hyperband, milestones
from search.record.events import TRIAL_DONE, TRIAL_FAILED, TRIAL_REPORTED, TRIAL_STARTED, TRIAL_STOPPED, Event
from search.record.history import is_sample
from search.space.options import POPULATIONS, SCHEDULER_DEFAULTS, SearchOptions
from search.space.space import Space


class Replayable(FIFOScheduler):
    """A scheduler that lets every trial train to its end, and can be brought back to where it was.

    Ray does not save the state of its schedulers, and gives a trial another id when a search is resumed. Here trials
    go by their own numbers, and the events of a search bring a scheduler back. Repeats of a trial and the reference are
    none of its business.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Chooses none: Ray then gives a free worker to a trial that has none.

        FIFOScheduler would choose the first trial that has not started, one for which a worker is just starting, and
        Ray would end that one for the free one. Where trials are shorter than a worker's start, none would ever
        replace a worker that died.
        """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if is_sample(trial.config):
            self.goes_on(trial.config["number"], trial.config["params"])

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if not is_sample(trial.config):
            return TrialScheduler.CONTINUE
        return self.decide(trial.config["number"], result)

    def decide(self, number: int, result: dict[str, Any]) -> str:
        """Returns CONTINUE or STOP for a trial that has reported."""
        return TrialScheduler.CONTINUE

    def goes_on(self, number: int, params: dict[str, Any]) -> None:
        """Takes note that a trial starts, or goes on, with what was sampled for it."""

    def ended(self, number: int, kind: str) -> None:
        """Takes note of how a trial has ended.

        Of failures this tells while events are replayed alone; in a running search the searcher, which knows whether
        the trial is tried again, tells rungs and populations itself.
        """

    def replay(self, events: Iterable[Event]) -> list[int]:
        """Brings the scheduler to where it was.

        Args:
            events: of a search, from its start.

        Returns:
            The numbers of the trials whose last report was answered with STOP.
        """
        stopped: dict[int, bool] = {}
        others: set[int] = set()
        for event in events:
            if event.trial is None or event.trial in others or event.data.get("is_tried_again"):
                continue
            if event.kind == TRIAL_STARTED:
                if not is_sample(event.data):
                    others.add(event.trial)
                    continue
                self.goes_on(event.trial, event.data["params"])
                stopped[event.trial] = False
            elif event.kind == TRIAL_REPORTED:
                stopped[event.trial] = self.decide(event.trial, event.data["metrics"]) == TrialScheduler.STOP
            elif event.kind in (TRIAL_DONE, TRIAL_STOPPED, TRIAL_FAILED):
                self.ended(event.trial, event.kind)
        return [number for number, is_stopped in stopped.items() if is_stopped]


class WaitingScheduler(Replayable):
    """Lets every trial wait at each rung, and go on when it is among the best there.

    A trial that is among the best at once just goes on. Others end for Ray; the searcher suggests them again when
    their time has come, and they go on from the checkpoint in their folder.

    Args:
        rungs: shared with the searcher.
        max_t: after how many epochs every trial ends; None: after all.
    """

    def __init__(self, rungs: Rungs | Brackets, max_t: int | None = None):
        super().__init__()
        self.rungs = rungs
        self._max_t = max_t

    def decide(self, number: int, result: dict[str, Any]) -> str:
        if "epoch" not in result:  # it has failed
            return TrialScheduler.CONTINUE
        if not self.rungs.reach(number, result):
            is_over = self._max_t is not None and result["epoch"] >= self._max_t
            return TrialScheduler.STOP if is_over else TrialScheduler.CONTINUE
        if self.rungs.next() == number:
            self.rungs.leave(number)
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP

    def goes_on(self, number: int, params: dict[str, Any]) -> None:
        self.rungs.leave(number)

    def ended(self, number: int, kind: str) -> None:
        if kind == TRIAL_FAILED:
            self.rungs.fail(number)


class PopulationScheduler(Replayable):
    """Lets every trial wait for the others after each interval, see population.py.

    Args:
        population: shared with the searcher.
        space: what is sampled.
        total_epochs: of a training.
    """

    def __init__(self, population: Population, space: Space, total_epochs: int):
        super().__init__()
        self.population = population
        self._space = space
        self._total_epochs = total_epochs

    def goes_on(self, number: int, params: dict[str, Any]) -> None:
        # a population knows no branches, so that the name of a parameter is its key
        self.population.join(number, {parameter.name: params[parameter.key] for parameter in self._space.parameters})
        self.population.leave(number)

    def decide(self, number: int, result: dict[str, Any]) -> str:
        if "epoch" not in result or result["epoch"] >= self._total_epochs:
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP if self.population.reach(number, result) else TrialScheduler.CONTINUE

    def ended(self, number: int, kind: str) -> None:
        if kind == TRIAL_FAILED:
            self.population.fail(number)


@dataclass(frozen=True)
class _Trial:
    """What Ray's own schedulers get to see of a trial."""

    trial_id: str


class StoppingScheduler(Replayable):
    """A scheduler of Ray that stops trials for ever."""

    def __init__(self, rays: TrialScheduler):
        super().__init__()
        self._rays = rays
        self._last: dict[int, dict[str, Any]] = {}

    def decide(self, number: int, result: dict[str, Any]) -> str:
        if "epoch" not in result:  # it has failed
            return TrialScheduler.CONTINUE
        if number not in self._last:
            self._rays.on_trial_add(None, _Trial(str(number)))
        self._last[number] = result
        return self._rays.on_trial_result(None, _Trial(str(number)), result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if is_sample(trial.config) and "epoch" in result:
            self.ended(trial.config["number"], TRIAL_DONE)

    def ended(self, number: int, kind: str) -> None:
        if kind != TRIAL_FAILED:  # which may be tried again
            self._rays.on_trial_complete(None, _Trial(str(number)), self._last[number])


def build_scheduler(options: SearchOptions, space: Space, total_epochs: int) -> Replayable:
    """Builds the scheduler that a space file names.

    Args:
        options: scheduler, metric and mode, checked.
        space: what is sampled.
        total_epochs: epochs of a full training, which are asha's and hyperband's max_t if it is not given.
    """
    name, metric, mode = options.scheduler.name, options.metric, options.mode
    if name == "none":
        return Replayable()
    if name in POPULATIONS:
        return PopulationScheduler(_population(options, space), space, total_epochs)
    chosen = options.scheduler_options
    if name == "median":
        return StoppingScheduler(
            MedianStoppingRule(
                time_attr="epoch",
                metric=metric,
                mode=mode,
                grace_period=chosen["grace_period"],
                min_samples_required=chosen["min_samples_required"],
                min_time_slice=float("inf"),  # it never pauses a trial
            )
        )
    grace, factor = chosen["grace_period"], chosen["reduction_factor"]
    last_epoch = min(chosen.get("max_t", total_epochs), total_epochs)
    max_t = last_epoch if last_epoch < total_epochs else None
    if name == "hyperband":
        return WaitingScheduler(hyperband(metric, mode, grace, factor, last_epoch), max_t)
    if chosen["type"] == "promotion":
        return WaitingScheduler(Rungs(metric, mode, milestones(grace, factor, last_epoch), factor), max_t)
    return StoppingScheduler(
        ASHAScheduler(
            time_attr="epoch",
            metric=metric,
            mode=mode,
            max_t=last_epoch,
            grace_period=grace,
            reduction_factor=factor,
        )
    )


def _population(options: SearchOptions, space: Space) -> Population:
    chosen = SCHEDULER_DEFAULTS["pbt"] | options.scheduler_options  # pb2 begins as pbt does
    return Population(
        space,
        options.metric,
        options.mode,
        size=options.num_samples,
        interval=chosen["perturbation_interval"],
        quantile=chosen["quantile_fraction"],
        resample=chosen["resample_probability"],
        seed=options.seed,
        is_bandit=options.scheduler.name == "pb2",
    )
