"""Takes what other processes ask of the search that runs here, and stops a trial in the middle of an epoch."""

import time
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import ray

from search.engine.controller import Controller
from search.record.outcomes import Outcome
from search.requests import Requests

INTERVAL = 0.5  # seconds between two looks


class StopRequests:
    """Does what is asked of a search.

    Args:
        requests: to the search; what was asked before it ran is forgotten.
        controller: of the search.
    """

    def __init__(self, requests: Requests, controller: Controller):
        self._requests = requests
        self._controller = controller
        self._looked = 0.0
        requests.clear()

    def take(self, tune_controller: Any) -> None:
        """Looks for requests from time to time.

        Args:
            tune_controller: Ray's, or its wrapper, as schedulers are given it.
        """
        if time.monotonic() - self._looked < INTERVAL:
            return
        self._looked = time.monotonic()
        for request in self._requests.take():
            if request.trial is None:
                self._controller.stopping.is_requested = True
            else:
                self._stop_trial(request.trial, tune_controller)

    def _stop_trial(self, number: int, tune_controller: Any) -> None:
        record = self._controller.history.trials.get(number)
        if record is None:
            return
        self._controller.end(number, Outcome.STOPPED_BY_USER)
        for trial in [*tune_controller.get_live_trials()]:  # a stopped one leaves them
            if trial.config["number"] == number:
                stop_now(tune_controller, trial)


def stop_now(tune_controller: Any, trial: Any) -> None:
    """Stops a trial of Ray Tune's, whatever its process does; the next one gets another process.

    Ray 2.60's request_stop_trial does nothing. Its stop_trial keeps the process for the next trial, which then waits
    for the end of the epoch; killing the process alone counts as a failure.
    """
    controller = getattr(tune_controller, "_tune_controller", tune_controller)  # what the wrapper hides
    actor = trial.temporary_state.ray_actor  # None: its process has not started
    keeps, controller._reuse_actors = controller._reuse_actors, False
    try:
        with redirect_stdout(StringIO()):  # it prints a line of Ray's own
            controller.stop_trial(trial)
    finally:
        controller._reuse_actors = keeps
    if actor is not None:
        ray.kill(actor)
