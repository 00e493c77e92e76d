"""Turns what Ray Tune tells into events."""

from typing import Any

from ray import tune

from configs.metric_names import METRICS
from search.events import (
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_REPORTED,
    TRIAL_STARTED,
    TRIAL_STOPPED,
    EventStream,
)
from search.searcher import FAILURE, UNREAD, has_finished


class EventCallback(tune.Callback):
    """Makes events of trials."""

    def __init__(self, stream: EventStream):
        self._stream = stream

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        config = {name: value for name, value in trial.config.items() if name not in ("number", "heard")}
        self._stream.emit(TRIAL_STARTED, trial.config["number"], **config)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if FAILURE not in result:
            metrics = {name: result[name] for name in METRICS}
            self._stream.emit(TRIAL_REPORTED, trial.config["number"], metrics=metrics, pid=result["pid"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number, result = trial.config["number"], trial.last_result or {}
        if FAILURE in result:
            self._stream.emit(TRIAL_FAILED, number, reason=one_line(result[FAILURE]))
        else:
            self._stream.emit(TRIAL_DONE if has_finished(result) else TRIAL_STOPPED, number, unread=result[UNREAD])

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        # What raised has reported why. A process that was killed had no time to.
        reason = (trial.last_result or {}).get(FAILURE, "its worker process died: killed, or out of memory?")
        self._stream.emit(TRIAL_FAILED, trial.config["number"], reason=one_line(reason))


def one_line(text: str) -> str:
    """Returns a reason as it fits on a line and into a table; the whole of it is in the trial's log."""
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:297]}..."
