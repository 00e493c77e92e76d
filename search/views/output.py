"""In which form a search tells what happens: a live view, lines, the summary alone, or JSON."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from enum import StrEnum
from typing import TextIO

from search.analysis import FoundSearch
from search.record.event_json import to_json
from search.record.events import Event, SearchEnded
from search.record.recorder import Observer
from search.views.summary import summary
from search.views.terminal import LinePrinter, Terminal


class Form(StrEnum):
    """A form of output."""

    LIVE = "live"  # where there is a terminal for it; else LINES
    LINES = "lines"
    QUIET = "quiet"
    JSON = "json"

    @classmethod
    def chosen(cls, is_quiet: bool, is_json: bool) -> "Form":
        """Returns the form for the flags of a command line, and for what the output goes to."""
        if is_json:
            return cls.JSON
        if is_quiet:
            return cls.QUIET
        is_dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown") or bool(os.environ.get("CI"))
        return cls.LIVE if sys.stdout.isatty() and not is_dumb else cls.LINES


class Output:
    """Makes the observer that speaks, and keeps everything else out of what it says.

    Args:
        form: of the output.
    """

    def __init__(self, form: Form):
        self.form = form
        self._stream = sys.stdout

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Meanwhile what is printed does not come between: beside JSON it goes to stderr, and --quiet leaves it out."""
        if self.form == Form.JSON:
            with redirect_stdout(sys.stderr):
                yield
        elif self.form == Form.QUIET:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
                yield
        else:
            yield

    def observer(
        self,
        found: FoundSearch,
        is_here: bool = True,
        clock: Callable[[], float] = time.time,
        has_begun: bool = False,
    ) -> AbstractContextManager[Observer]:
        """Returns what tells of a search, for `with`.

        Args:
            found: the search.
            is_here: whether it runs on this machine.
            clock: says what time it is there, in seconds since 1970.
            has_begun: whether it runs already, and is watched from here on.
        """
        if self.form == Form.LIVE:
            from search.views.live import LiveView  # rich takes a tenth of a second
            from search.views.machine import Machine

            return LiveView(found, Machine().describe if is_here else None, None, clock, has_begun)
        if self.form == Form.JSON:
            return nullcontext(JsonLines(self._stream))
        if self.form == Form.QUIET:
            return nullcontext(SummaryOnly(found, self._stream))
        return nullcontext(Terminal(found, has_begun=has_begun))


class JsonLines(Observer):
    """Prints each event as a line, as in events.jsonl; a message has the kind `message` and its text as data."""

    speaks = True

    def __init__(self, stream: TextIO):
        self._print = LinePrinter(stream)

    def on_event(self, event: Event) -> None:
        self._print(json.dumps(to_json(event)))

    def on_message(self, text: str) -> None:
        content = {"kind": "message", "trial": None, "time": time.time(), "data": {"text": text.strip()}}
        self._print(json.dumps(content))


class SummaryOnly(Observer):
    """Prints what went wrong with the search itself, and the summary."""

    speaks = True

    def __init__(self, found: FoundSearch, stream: TextIO):
        self._found = found
        self._print = LinePrinter(stream)

    def on_event(self, event: Event) -> None:
        if isinstance(event, SearchEnded):
            for line in summary(self._found, event)[1:]:
                self._print(line)

    def on_message(self, text: str) -> None:
        self._print(text.strip())
