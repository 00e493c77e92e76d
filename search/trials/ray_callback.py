"""Ray Tune tells here that trials begin and end."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ray import tune

from configs.errors import one_line
from configs.files import shown_path
from search.engine.controller import Controller
from search.folder import SearchFolder
from search.record.history import trial_name
from search.record.outcomes import Outcome
from search.trials.messages import FailureMessage, message_of
from search.trials.unpickled import Unpickled
from search.trials.watchdog import hanging
from trainable.run_folder import RunFolder, holder


class ControllerCallback(Unpickled, tune.Callback):
    """Tells the controller of trials that begin and end.

    Args:
        controller: of the search.
        folder: of the search.
        tick: called some times a second.
        is_cluster: whether reasons say on which machine a trial ran.
    """

    def __init__(
        self, controller: Controller, folder: SearchFolder, tick: Callable[[], None], is_cluster: bool = False
    ):
        self._controller = controller
        self._folder = folder
        self._tick = tick
        self._is_cluster = is_cluster
        self._logged: dict[int, int] = {}  # sizes of the logs of trials when they began, or went on

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._tick()

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        self._controller.worker_ready(number)
        log = self._run_folder(trial).log
        self._logged[number] = log.stat().st_size if log.exists() else 0

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        message = message_of(trial.last_result)
        if isinstance(message, FailureMessage):
            self._failed(trial, message.outcome, message.reason, trial.last_result["hostname"])
        else:  # without a message, it had nothing left to train when it was resumed
            unread = message.unread if message else ()
            self._controller.end(trial.config["number"], Outcome.FINISHED, unread=unread)
        _forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # What raised has reported why. A process that was killed had no time to.
        message = message_of(trial.last_result)
        reason = message.reason if isinstance(message, FailureMessage) else self._why_it_died(trial)
        self._failed(trial, Outcome.EXTERNAL_FAILURE, reason, holder(self._run_folder(trial).path))
        _forget(trial)

    def _failed(self, trial: Any, outcome: Outcome, reason: str, node: str) -> None:
        reason = one_line(reason)
        if node and self._is_cluster:
            reason = f"{reason} (on {node})"
        log = shown_path(self._run_folder(trial).log)
        self._controller.end(trial.config["number"], outcome, reason, node, log=log)

    def _why_it_died(self, trial: Any) -> str:
        with contextlib.suppress(OSError):  # it may have died before it had a log
            if hung := hanging(self._run_folder(trial).log, self._logged.get(trial.config["number"], 0)):
                return hung
        with contextlib.suppress(OSError):
            if "running low on memory" in Path(trial.error_file).read_text():
                return "Ray ended its worker process, since this machine was running low on memory"
        return "its worker process died: killed, or out of memory?"

    def _run_folder(self, trial: Any) -> RunFolder:
        return self._folder.trial(trial_name(trial.config["number"], trial.config["id"]))


def _forget(trial: Any) -> None:
    """Frees what Ray keeps of a trial and nobody reads: running averages of all metrics, 50 KB, and an empty folder."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    with contextlib.suppress(OSError):  # after a worker has died, the folder holds its error
        Path(trial.local_path).rmdir()
