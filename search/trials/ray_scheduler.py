"""Ray Tune tells here what a trial has reported, and is told whether the trial goes on."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from search.engine.controller import Controller
from search.engine.schedulers.scheduler import Decision
from search.trials.messages import EpochMessage, message_of
from search.trials.stop_requests import StopRequests
from search.trials.unpickled import Unpickled


class ControllerScheduler(Unpickled, FIFOScheduler):
    """Passes reports to the controller. Of what Ray calls for a result, this comes first.

    Args:
        controller: of the search.
        requests: what other processes ask of the search.
    """

    def __init__(self, controller: Controller, requests: StopRequests | None = None):
        super().__init__()
        self._controller = controller
        self._requests = requests

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Chooses none: Ray then gives a free worker to a trial that has none.

        FIFOScheduler would choose the first trial that has not started, one for which a worker is just starting, and
        Ray would end that one for the free one. Where trials are shorter than a worker's start, none would ever
        replace a worker that died. Ray asks in each of its steps, some times a second, and with its own controller:
        the place to stop trials from outside.
        """
        if self._requests:
            self._requests.take(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """A trial that waits or is stopped ends for Ray; one that has failed ends by itself."""
        message = message_of(result)
        if not isinstance(message, EpochMessage):
            return str(TrialScheduler.CONTINUE)
        decision = self._controller.report(
            trial.config["number"],
            message.metrics,
            result["pid"],
            result["hostname"],
            message.seconds,
            message.unread,
        )
        return str(TrialScheduler.CONTINUE if decision == Decision.CONTINUE else TrialScheduler.STOP)
