"""What ends a search before all samples are made: time, people, rules of the space file, failures that are alike."""

import time
from itertools import takewhile

from configs.metric_names import sign
from search.record.events import FAILED_ALIKE, TIME_IS_UP
from search.record.failures import kind_of_failure
from search.record.history import History
from search.record.outcomes import ENDED, State
from search.space.options import SearchOptions, StopRules

FIRST, IN_A_ROW = 4, 10  # trials that fail alike: the first ones of a search, any


class Stopping:
    """Says whether a search ends, and why.

    Args:
        options: its time budget, target and patience.
        history: of the search, as it goes on. What has failed before now may have been mended.

    Attributes:
        is_requested: whether somebody wants the search to stop. A signal handler may set it.
        halted: why no trial can go on; None: they can.
    """

    def __init__(self, options: SearchOptions, history: History):
        self._deadline: float | None = None
        self._options = options
        self._history = history
        self._ends_before = history.ends
        self.is_requested = False
        self.halted: str | None = None

    def begin(self) -> None:
        """Begins to count the time budget."""
        if self._options.time_budget:
            self._deadline = time.monotonic() + self._options.time_budget

    def halt(self, reason: str) -> None:
        """Ends the search, since no trial can go on."""
        self.halted = reason

    def is_final(self) -> bool:
        """Whether all trials end now, repeats of the best included."""
        return self.is_requested or self._final_reason() is not None

    def is_decided(self) -> bool:
        """Whether target or patience are reached: only repeats of the best are still to come."""
        return stop_reason(self._options, self._history) is not None

    def reason(self) -> str | None:
        """Why the search has come to its end before all trials are made; None: it has not."""
        return self._final_reason() or stop_reason(self._options, self._history)

    def _final_reason(self) -> str | None:
        if self.halted:
            return f"stopped, since no trial can go on: {self.halted}"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return TIME_IS_UP
        return failing_alike(self._history, self._ends_before)


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
        ended = [record for record in history.samples() if record.state in ENDED]
        # a trial that runs may be the best so far: the count begins when it has ended
        since = sum(record.end_order > best.end_order for record in ended) if best and best.state in ENDED else 0
        if since >= options.stop.patience:
            return f"no better trial in the last {since}"
    return None


def failing_alike(history: History, ends_before: int = 0) -> str | None:
    """Returns why the search is of no use: the first few trials, or many in a row, have all failed for one reason.

    Args:
        history: of the search.
        ends_before: ends of trials that do not count.
    """
    samples = (record for record in history.trials.values() if record.is_sample)
    ended = [record for record in samples if record.end_order >= ends_before]  # some of them run again
    latest = max(ended, key=lambda record: record.end_order, default=None)
    if latest is None or latest.state != State.FAILED:  # as nearly always: this is asked some times a second
        return None
    ended.sort(key=lambda record: -record.end_order)
    kind = kind_of_failure(latest)
    in_a_row = list(takewhile(lambda one: one.state == State.FAILED and kind_of_failure(one) == kind, ended))
    if len(in_a_row) >= (FIRST if len(in_a_row) == len(ended) else IN_A_ROW):
        return f"stopped, since {len(in_a_row)} {FAILED_ALIKE}: {in_a_row[0].reason}"
    return None
