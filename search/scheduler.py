"""Schedulers by name: which trials are stopped early."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from search.events import TRIAL_DONE, TRIAL_FAILED, TRIAL_REPORTED, TRIAL_STARTED, TRIAL_STOPPED, Event
from search.options import SearchOptions
from search.rungs import Rungs, milestones


class PromotionASHA(FIFOScheduler):
    """ASHA that lets every trial wait at each rung, and go on when it is among the best there.

    A trial that is among the best at once just goes on. Others end for Ray; the searcher suggests them again when
    their time has come, and they go on from the checkpoint in their folder.

    Args:
        rungs: shared with the searcher.
    """

    def __init__(self, rungs: Rungs):
        super().__init__()
        self.rungs = rungs

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        number = trial.config["number"]
        if self.rungs.metric not in result or not self.rungs.reach(number, result):
            return TrialScheduler.CONTINUE
        if self.rungs.next() == number:
            self.rungs.leave(number)
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP

    def replay(self, events: Iterable[Event]) -> list[int]:
        """Fills the rungs with what happened before, and returns the numbers of the trials that wait."""
        return self.rungs.replay(events)


class StoppingASHA(ASHAScheduler):
    """Ray's ASHA, which decides at each rung at once and for ever.

    Its rungs can be made again from the events of a search.

    Ray does not save the state of its schedulers, and gives a trial another id when a search is resumed. Here trials
    go by their own numbers.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, _by_number(trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        return super().on_trial_result(tune_controller, _by_number(trial), result)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        super().on_trial_complete(tune_controller, _by_number(trial), result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_remove(tune_controller, _by_number(trial))

    def replay(self, events: Iterable[Event]) -> list[int]:
        """Fills the rungs with what happened before.

        Args:
            events: of a search, from its start.

        Returns:
            The numbers of the trials that are stopped by their reports, in order.
        """
        stopped = []
        last: dict[int, dict[str, Any]] = {}
        for event in events:
            if event.trial is None:
                continue
            trial = SimpleNamespace(config={"number": event.trial})
            if event.kind == TRIAL_STARTED and event.trial not in last:
                self.on_trial_add(None, trial)
                last[event.trial] = {}
            elif event.kind == TRIAL_REPORTED:
                last[event.trial] = event.data["metrics"]
                if self.on_trial_result(None, trial, event.data["metrics"]) == TrialScheduler.STOP:
                    stopped.append(event.trial)
            elif event.kind in (TRIAL_DONE, TRIAL_STOPPED, TRIAL_FAILED):
                self.on_trial_complete(None, trial, last[event.trial])
        return stopped


def _by_number(trial: Any) -> Any:
    return SimpleNamespace(trial_id=f"{trial.config['number']:04d}")


def build_scheduler(options: SearchOptions, total_epochs: int) -> TrialScheduler:
    """Builds the scheduler that a space file names.

    Args:
        options: scheduler, metric and mode, checked.
        total_epochs: epochs of a full training: asha's max_t.
    """
    if options.scheduler.name == "none":
        return FIFOScheduler()
    chosen = {"type": "promotion", "grace_period": 1, "reduction_factor": 3.0, **options.scheduler.options}
    grace, factor = chosen["grace_period"], chosen["reduction_factor"]
    if chosen["type"] == "promotion":
        return PromotionASHA(Rungs(options.metric, options.mode, milestones(grace, factor, total_epochs), factor))
    return StoppingASHA(
        time_attr="epoch",
        metric=options.metric,
        mode=options.mode,
        max_t=total_epochs,
        grace_period=grace,
        reduction_factor=factor,
    )
