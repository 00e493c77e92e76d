"""Turns what Ray Tune tells into events."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ray import tune

from configs.errors import explained
from configs.files import shown_path
from configs.metric_names import METRICS
from search.engine.rungs import Promotion
from search.faults import CAN_BE_RETRIED, NOTHING_GOES
from search.folder import SearchFolder
from search.record.events import (
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_PROMOTED,
    TRIAL_REPORTED,
    TRIAL_STARTED,
    TRIAL_STOPPED,
    EventStream,
)
from search.record.history import History, trial_name
from search.reports import FAILURE, FAULT, UNREAD, has_finished
from search.trials.watchdog import hanging
from trainable.run_folder import RunFolder, holder


class EventCallback(tune.Callback):
    """Makes events of trials.

    Args:
        stream: gets them.
        history: of the search, as it goes on.
        folder: of the search.
        max_failures: how often a trial is tried again.
        halt: called with the reason where no trial can go on.
        promotion: returns, once, why a trial has gone on from a rung.
        is_cluster: whether reasons say on which machine a trial ran.
    """

    def __init__(
        self,
        stream: EventStream,
        history: History,
        folder: SearchFolder,
        max_failures: int,
        halt: Callable[[str], None],
        promotion: Callable[[int], Promotion | None],
        is_cluster: bool = False,
    ):
        self._stream = stream
        self._history = history
        self._folder = folder
        self._max_failures = max_failures
        self._halt = halt
        self._promotion = promotion
        self._is_cluster = is_cluster
        self._is_over = False
        self._logged: dict[int, int] = {}  # sizes of the logs of trials when they began, or went on

    def _emit(self, kind: str, number: int, **data: Any) -> None:
        """Passes an event on. When one cannot be kept, none after it is, so that what is kept has no gaps."""
        if self._is_over:
            return
        try:
            self._stream.emit(kind, number, **data)
        except OSError as error:
            self._is_over = True
            self._halt(explained(error))

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        config = {name: value for name, value in trial.config.items() if name not in ("number", "heard")}
        number = trial.config["number"]
        self._tell_promotion(number)
        self._emit(TRIAL_STARTED, number, **config)
        log = self._log(number, config["id"])
        self._logged[number] = log.stat().st_size if log.exists() else 0

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if FAILURE not in result:
            metrics = {name: result[name] for name in METRICS}
            place = {"pid": result["pid"], "node": result["hostname"]}
            self._emit(TRIAL_REPORTED, trial.config["number"], metrics=metrics, **place)
            self._tell_promotion(trial.config["number"])  # it was among the best at once

    def _tell_promotion(self, number: int) -> None:
        promotion = self._promotion(number)
        if promotion is not None:
            self._emit(TRIAL_PROMOTED, number, promotion=asdict(promotion))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number, result = trial.config["number"], trial.last_result or {}
        if FAILURE in result:
            self._failed(number, result[FAILURE], result[FAULT], result["hostname"])
        else:
            self._emit(TRIAL_DONE if has_finished(result) else TRIAL_STOPPED, number, unread=result[UNREAD])
        _forget(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # What raised has reported why. A process that was killed had no time to.
        reason = (trial.last_result or {}).get(FAILURE) or self._why_it_died(trial)
        if trial.config["number"] not in self._history.trials:  # it died before Ray said that the trial had started
            self.on_trial_start(iteration, trials, trial)
        number = trial.config["number"]
        self._failed(
            number, reason, CAN_BE_RETRIED, holder(self._folder.trials / trial_name(number, trial.config["id"]))
        )
        _forget(trial)

    def _why_it_died(self, trial: Any) -> str:
        with contextlib.suppress(OSError):  # it may have died before it had a log
            number, sample_id = trial.config["number"], trial.config["id"]
            if hung := hanging(self._log(number, sample_id), self._logged.get(number, 0)):
                return hung
        with contextlib.suppress(OSError):
            if "running low on memory" in Path(trial.error_file).read_text():
                return "Ray ended its worker process, since this machine was running low on memory"
        return "its worker process died: killed, or out of memory?"

    def _log(self, number: int, sample_id: str) -> Path:
        return RunFolder(self._folder.trials / trial_name(number, sample_id)).log

    def _failed(self, number: int, reason: str, fault: str, node: str) -> None:
        if number not in self._history.trials:  # that it started could not be kept
            return
        reason = one_line(reason)
        if node and self._is_cluster:
            reason = f"{reason} (on {node})"
        record = self._history.trials[number]
        can_be_retried = fault == CAN_BE_RETRIED and record.failures < self._max_failures
        is_tried_again = fault == NOTHING_GOES or can_be_retried
        self._emit(TRIAL_FAILED, number, reason=reason, is_tried_again=is_tried_again, node=node)
        if fault == NOTHING_GOES:
            self._halt(f"{reason} (log: {shown_path(self._log(number, record.id))})")


def _forget(trial: Any) -> None:
    """Frees what Ray keeps of a trial and nobody reads: running averages of all metrics, 50 KB, and an empty folder."""
    trial.run_metadata.metric_analysis.clear()
    trial.run_metadata.metric_n_steps.clear()
    with contextlib.suppress(OSError):  # after a worker has died, the folder holds its error
        Path(trial.local_path).rmdir()


def one_line(text: str) -> str:
    """Returns a reason as it fits on a line and into a table; the whole of it is in the trial's log."""
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:297]}..."
