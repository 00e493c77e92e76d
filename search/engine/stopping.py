"""What ends a search before all its samples are made: `stop:` in the space file, or failures that are all alike."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from ray import tune

from configs.metric_names import sign
from search.record.events import TIME_IS_UP
from search.record.history import FAILED, FINISHED, History, TrialRecord
from search.space.options import SearchOptions, StopRules

FIRST, IN_A_ROW = 4, 10  # trials that fail alike: the first ones of a search, any


def stop_reason(options: SearchOptions, history: History) -> str | None:
    """Returns which rule of the space file has brought a search to its end, None if none has.

    Args:
        options: its target and patience.
        history: of the search so far.
    """
    if options.stop == StopRules():
        return None
    best = history.best_sample(options.metric)
    row = best.best(options.metric) if best else None
    if row is None:
        return None
    if options.stop.target is not None and sign(options.metric) * (row[options.metric] - options.stop.target) >= 0:
        return f"target reached: {options.metric} {row[options.metric]:.4f}"
    if options.stop.patience is not None:
        ended = [record for record in history.samples() if record.state in FINISHED]
        # a trial that runs may be the best so far: the count begins when it has ended
        since = sum(record.ended > best.ended for record in ended) if best and best.state in FINISHED else 0
        if since >= options.stop.patience:
            return f"no better trial in the last {since}"
    return None


def failing_alike(history: History) -> str | None:
    """Returns why the search is of no use: the first few trials, or many in a row, have all failed for one reason."""
    # what failed before the search was resumed may have been mended
    ended = [record for record in history.samples() if record.ended >= history.ends_before]
    ended.sort(key=lambda record: -record.ended)
    in_a_row = list(takewhile(lambda r: r.state == FAILED and _kind(r) == _kind(ended[0]), ended))
    if len(in_a_row) >= (FIRST if len(in_a_row) == len(ended) else IN_A_ROW):
        return f"stopped, since {len(in_a_row)} trials in a row failed alike: {in_a_row[0].reason}"
    return None


def _kind(record: TrialRecord) -> str:
    """Returns a trial's reason without what differs from trial to trial: paths, numbers and their units."""
    reason = record.reason.removesuffix(f" (on {record.node})")
    return re.sub(r"[0-9.]+( [KMGT]iB)?", "0", re.sub(r"\S*/\S*", "path", reason))


class SearchStopper(tune.Stopper):
    """Ends a search when its time is over or when people interrupt it.

    Args:
        options: its time budget counts from now; its target and its patience.
        history: of the search, as it goes on.
        close: called when target or patience are reached and the best are still to be confirmed.
    """

    def __init__(self, options: SearchOptions, history: History, close: Callable[[], None] = lambda: None):
        self._deadline = time.monotonic() + options.time_budget if options.time_budget else None
        self._options = options
        self._history = history
        self._close = close
        self.was_interrupted = False
        self.halted: str | None = None  # why no trial can go on

    def halt(self, reason: str) -> None:
        """Ends the search, since no trial can go on."""
        self.halted = reason

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stops a single trial; that is the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials end now."""
        if self.was_interrupted or self._final_reason():
            return True
        if not stop_reason(self._options, self._history):
            return False
        if self._options.repeats:
            self._close()
            return False
        return True

    def reason(self) -> str | None:
        """Why the search has come to its end before all trials are made; None: it has not."""
        return self._final_reason() or stop_reason(self._options, self._history)

    def _final_reason(self) -> str | None:
        """Why nothing more is to be done, not even repeats."""
        if self.halted:
            return f"stopped, since no trial can go on: {self.halted}"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return TIME_IS_UP
        return failing_alike(self._history)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the first Ctrl-C or SIGTERM as a wish to end kindly; the second ends at once."""

        def on_signal(number: int, frame: Any) -> None:
            if self.was_interrupted:
                raise KeyboardInterrupt
            self.was_interrupted = True
            print("stopping: trials keep their last checkpoint (once more: at once)", flush=True)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
