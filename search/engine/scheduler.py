"""Schedulers by name: which trials are stopped early, or wait."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from search.engine.kinds import Kinds
from search.engine.population import Population
from search.engine.rungs import Brackets, Promotion, Rungs, hyperband, milestones
from search.record.events import TRIAL_DONE, TRIAL_FAILED, TRIAL_REPORTED, TRIAL_STARTED, TRIAL_STOPPED, Event
from search.record.history import is_sample
from search.space.kinds import kind_of
from search.space.options import POPULATIONS, SCHEDULER_DEFAULTS, SearchOptions
from search.space.space import Space

KindOf = Callable[[Mapping[str, Any]], str]


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
            self.goes_on(trial.config["number"], trial.config)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if not is_sample(trial.config):
            return TrialScheduler.CONTINUE
        return self.decide(trial.config["number"], result)

    def decide(self, number: int, result: dict[str, Any]) -> str:
        """Returns CONTINUE or STOP for a trial that has reported."""
        return TrialScheduler.CONTINUE

    def goes_on(self, number: int, data: Mapping[str, Any]) -> None:
        """Takes note that a trial starts, or goes on, with `params` and `settings`: see TrialRecord."""

    def promotion(self, number: int) -> Promotion | None:
        """Returns, once, why a trial has gone on from a rung; None if it has not."""
        return None

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
                self.goes_on(event.trial, event.data)
                stopped[event.trial] = False
            elif event.kind == TRIAL_REPORTED:
                stopped[event.trial] = self.decide(event.trial, event.data["metrics"]) == TrialScheduler.STOP
            elif event.kind in (TRIAL_DONE, TRIAL_STOPPED, TRIAL_FAILED):
                self.ended(event.trial, event.kind)
        for number in stopped:
            self.promotion(number)  # was told then
        return [number for number, is_stopped in stopped.items() if is_stopped]


class WaitingScheduler(Replayable):
    """Lets every trial wait at each rung, and go on when it is among the best there.

    A trial that is among the best at once just goes on. Others end for Ray; the searcher suggests them again when
    their time has come, and they go on from the checkpoint in their folder.

    Args:
        rungs: shared with the searcher.
        kinds: of the trials, shared with the rungs.
        kind_of: returns which kind a trial is, by `params` and `settings`.
        max_t: after how many epochs every trial ends; None: after all.
    """

    def __init__(self, rungs: Rungs | Brackets, kinds: Kinds, kind_of: KindOf, max_t: int | None = None):
        super().__init__()
        self.rungs = rungs
        self._kinds, self._kind_of = kinds, kind_of
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

    def promotion(self, number: int) -> Promotion | None:
        return self.rungs.promotion(number)

    def goes_on(self, number: int, data: Mapping[str, Any]) -> None:
        self._kinds.join(number, self._kind_of(data))
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

    def goes_on(self, number: int, data: Mapping[str, Any]) -> None:
        # a population knows no branches, so that the name of a parameter is its key
        params = data["params"]
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
    """A scheduler of Ray that stops trials for ever; one of its own for each kind.

    Args:
        build: makes Ray's scheduler.
        kind_of: returns which kind a trial is, by `params` and `settings`.
    """

    def __init__(self, build: Callable[[], TrialScheduler], kind_of: KindOf):
        super().__init__()
        self._build, self._kind_of = build, kind_of
        self._by_kind: dict[str, TrialScheduler] = {}
        self._of: dict[int, TrialScheduler] = {}  # by trial
        self._last: dict[int, dict[str, Any]] = {}

    def goes_on(self, number: int, data: Mapping[str, Any]) -> None:
        kind = self._kind_of(data)
        if kind not in self._by_kind:
            self._by_kind[kind] = self._build()
        self._of[number] = self._by_kind[kind]

    def decide(self, number: int, result: dict[str, Any]) -> str:
        if "epoch" not in result:  # it has failed
            return TrialScheduler.CONTINUE
        if number not in self._last:
            self._of[number].on_trial_add(None, _Trial(str(number)))
        self._last[number] = result
        return self._of[number].on_trial_result(None, _Trial(str(number)), result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if is_sample(trial.config) and "epoch" in result:
            self.ended(trial.config["number"], TRIAL_DONE)

    def ended(self, number: int, kind: str) -> None:
        if kind != TRIAL_FAILED:  # which may be tried again
            self._of[number].on_trial_complete(None, _Trial(str(number)), self._last[number])


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
    chosen, kinds_by = options.scheduler_options, options.kinds or ()

    def kind(data: Mapping[str, Any]) -> str:
        return kind_of(data["params"], data["settings"], kinds_by, space) if kinds_by else ""

    if name == "median":
        return StoppingScheduler(
            lambda: MedianStoppingRule(
                time_attr="epoch",
                metric=metric,
                mode=mode,
                grace_period=chosen["grace_period"],
                min_samples_required=chosen["min_samples_required"],
                min_time_slice=float("inf"),  # it never pauses a trial
            ),
            kind,
        )
    grace, factor = chosen["grace_period"], chosen["reduction_factor"]
    last_epoch = min(chosen.get("max_t", total_epochs), total_epochs)
    max_t = last_epoch if last_epoch < total_epochs else None
    kinds = Kinds(last_epoch, are_apart=bool(kinds_by))
    if name == "hyperband":
        rungs: Rungs | Brackets = hyperband(metric, mode, grace, factor, last_epoch, kinds)
        return WaitingScheduler(rungs, kinds, kind, max_t)
    if chosen["type"] == "promotion":
        rungs = Rungs(metric, mode, milestones(grace, factor, last_epoch), factor, kinds)
        return WaitingScheduler(rungs, kinds, kind, max_t)
    return StoppingScheduler(
        lambda: ASHAScheduler(
            time_attr="epoch",
            metric=metric,
            mode=mode,
            max_t=last_epoch,
            grace_period=grace,
            reduction_factor=factor,
        ),
        kind,
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
