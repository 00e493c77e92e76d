"""What a search says in lines: one for each trial that ends, and the summary."""

import os
import shutil
import sys
from collections.abc import Callable
from typing import TextIO

from configs.files import shown_path
from search.analysis import FoundSearch
from search.record.events import Donor, Event, SearchEnded, SearchStarted, TrialEnded, TrialStarted, WorkerReady
from search.record.history import TrialRecord
from search.record.outcomes import State
from search.record.recorder import Observer
from search.views.describe import clock, describe
from search.views.summary import summary

_WITH_RESULT = (State.DONE, State.WAITING, State.STOPPED, State.STOPPED_BY_USER)


def terminal_columns() -> int | None:
    """Returns how wide the terminal is, None where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class LinePrinter:
    """Prints lines at once, and goes on where nobody reads any more, as after `| head`: so does the search.

    Args:
        stream: where to; None: stdout.
    """

    def __init__(self, stream: TextIO | None = None):
        self._stream = stream

    def __call__(self, text: str) -> None:
        stream = self._stream or sys.stdout
        try:
            print(text, file=stream, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Terminal(Observer):
    """Tells people how the search goes.

    Args:
        found: the search.
        write: gets each line; None: it is printed.
        columns: in which a line about a trial has to fit; None: as many as the terminal has, in a file any.
        has_begun: whether it runs already, and is watched from here on.
    """

    speaks = True

    def __init__(
        self,
        found: FoundSearch,
        write: Callable[[str], None] | None = None,
        columns: Callable[[], int | None] = terminal_columns,
        has_begun: bool = False,
    ):
        self._found = found
        self._plan, self._history, self._folder = found.plan, found.history, found.folder
        self._write = write or LinePrinter()
        self._columns = columns
        starts = [event.time for event in found.history.events if isinstance(event, SearchStarted)]
        self._start = self._now = starts[-1] if starts else 0.0
        self._best: float | None = None
        self._has_told_unread = False
        self._has_begun = has_begun
        self._has_heard_start = False
        self._has_started = has_begun
        self._told_donors: dict[int, Donor] = {}  # by the number of the trial that took over

    def on_event(self, event: Event) -> None:
        self._now = event.time
        if isinstance(event, SearchStarted):
            if self._has_heard_start:  # as when a search that has ended is watched
                self._write("the search was resumed")
            self._has_heard_start = self._has_begun = True
            self._start = event.time
        if self._has_begun:  # what comes before only says more of what an earlier version has written
            self._tell(event)

    def on_message(self, text: str) -> None:
        self._write(text)

    def _tell(self, event: Event) -> None:
        match event:
            case TrialEnded():
                record = self._history.trials[event.trial]
                if record.state == State.INTERRUPTED and not event.reason:
                    return  # it is resumed, and says so by itself
                line = self._ended(record)
                self._say(self._fitted(line) if record.state in _WITH_RESULT else line)
                self._tell_unread(record)
            case SearchEnded():
                for line in summary(self._found, event):
                    self._write(line)
            case TrialStarted(donor=Donor() as donor) if donor != self._told_donors.get(event.trial):
                self._told_donors[event.trial] = donor
                self._say(
                    f"trial {event.trial:>3}  continues with the weights of trial {donor.number} after epoch "
                    f"{donor.epoch}: {describe(event.params)}"
                )
            case WorkerReady() if not self._has_started:
                self._has_started = True
                self._say("the first trial has started")

    def _tell_unread(self, record: TrialRecord) -> None:
        """Names the knobs that did nothing in the first trial that has trained."""
        if self._has_told_unread or not record.is_sample or not record.rows or record.state not in _WITH_RESULT:
            return
        self._has_told_unread = True
        if record.unread:
            self._write(
                f"note: trial {record.number} never read {', '.join(record.unread)}: sampled for nothing there; "
                "`when:` in the space file makes a key active only where it counts"
            )

    def _say(self, text: str) -> None:
        self._write(f"{self._time()}{text}")

    def _time(self) -> str:
        return f"[{clock(self._now - self._start)}] "

    def _ended(self, record: TrialRecord) -> str:
        metric = self._plan.options.metric
        epochs = f"{len(record.rows)}/{self._plan.total_epochs(record.settings)} epochs"
        what = f"trial {record.number:>3}  {record.state:<8}{epochs:>12}"
        what += f"  {record.role}" if record.role else ""
        log = shown_path(self._folder.trial(record.name).log)
        if record.state == State.INTERRUPTED:
            return f"{what}  {record.reason}; tried again from its last checkpoint (log: {log})"
        if record.state == State.FAILED:
            return f"{what}  {record.reason} (log: {log})"
        row = record.best(metric)
        if row is None:  # stopped before its first epoch
            return f"{what}  {describe(record.params)}"
        best = self._history.best_trial(metric)
        is_new = best is record and (self._best is None or row[metric] != self._best)
        self._best = row[metric] if best is record else self._best
        mark = "  best so far" if is_new else ""
        return f"{what}  {metric} {row[metric]:.4f}{mark}  {describe(record.params_at(row['epoch']))}"

    def _fitted(self, text: str) -> str:
        """Returns a line without the last of its parameters, where the terminal is too narrow for them."""
        columns = self._columns()
        room = len(text) if columns is None else columns - len(self._time())
        return f"{text[: room - 3]}..." if len(text) > room else text
