"""Writes what happens in a search, and tells those who watch it."""

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from configs.errors import CommandError, explained
from search.record.event_log import EventLog
from search.record.events import Event, SearchEnded
from search.record.history import History


class Observer:
    """Watches a search; what it does cannot harm it.

    Attributes:
        speaks: whether people see the messages that it is told.
    """

    speaks = False

    def on_event(self, event: Event) -> None:
        """Is told of an event that the history has taken in."""

    def on_message(self, text: str) -> None:
        """Is told what people should know, which is no event."""

    def on_tick(self) -> None:
        """Is called some times a second while trials run."""


class Recorder:
    """Keeps the events of a search.

    The log and the history must succeed. The results are made of them: if they cannot be written they are written with
    a later event, and must be there at the end. Observers come last; one that raises is left out from then on.

    Args:
        log: gets each event first.
        history: of the search.
        write_results: called with each event; returns whether it has written them.
        observers: told in their order.

    Attributes:
        results_error: why the results are not up to date; None: they are.
    """

    def __init__(
        self,
        log: EventLog,
        history: History,
        write_results: Callable[[Event], bool],
        observers: Sequence[Observer] = (),
    ):
        self._log = log
        self._history = history
        self._write_results = write_results
        self._observers = list(observers)
        self.results_error: str | None = None

    def record(self, event: Event) -> None:
        """Keeps an event.

        Raises:
            OSError: the log could not be written.
        """
        self._log.append(event)
        self._history.add(event)
        self._update_results(event)
        self._tell(lambda observer: observer.on_event(event))

    def say(self, text: str) -> None:
        """Tells the observers what people should know."""
        self._tell(lambda observer: observer.on_message(text))

    def tick(self) -> None:
        """Lets the observers do what is due; to be called some times a second."""
        self._tell(lambda observer: observer.on_tick())

    def _update_results(self, event: Event) -> None:
        before = self.results_error
        try:
            if self._write_results(event):
                self.results_error = None
        except Exception as error:  # of whatever kind: what they are made of is kept
            why = explained(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self.results_error = why
            if before is None and not isinstance(event, SearchEnded):
                self.say(f"the results could not be written, which will be tried again later: {why}")

    def _tell(self, tell: Callable[[Observer], None]) -> None:
        for observer in [*self._observers]:
            try:
                tell(observer)
            except Exception as error:  # of whatever kind: the search goes on
                self._observers.remove(observer)
                text = f"{type(observer).__name__} failed and is switched off: {type(error).__name__}: {error}"
                text = str(error) if isinstance(error, CommandError) else text
                if not any(one.speaks for one in self._observers):
                    with suppress(Exception):
                        print(text, file=sys.stderr, flush=True)
                self.say(text)
