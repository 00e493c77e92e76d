"""events.jsonl: the events of a search in a file.

It is the truth about a search: results, best.yaml and resuming are all made from it. It is append-only; a last line
that was cut off is dropped.
"""

import json
import sys
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.files import append_line
from search.record.event_check import EventCheck
from search.record.events import SEARCH_STARTED, Event

VERSION = 2  # of the file


def _with_shared_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a mapping whose names take memory once, whatever the number of events."""
    return {sys.intern(name): value for name, value in pairs}


class EventLog:
    """Appends events to a file, one JSON object a line."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def read(self) -> list[Event]:
        """Returns the events of the file, checked, none if it is missing.

        Raises:
            ConfigError: the file is not an event log of this version.
        """
        if not self.path.exists():
            return []
        events: list[Event] = []
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):  # torn
                    break
                try:
                    events.append(Event(**json.loads(line, object_pairs_hook=_with_shared_names)))
                except (ValueError, TypeError, RecursionError) as error:
                    raise self._unusable(number, str(error)) from None
        if events and events[0].kind != SEARCH_STARTED:
            raise self._unusable(1, f"it is {events[0].kind!r}, and the first is {SEARCH_STARTED}")
        if events and isinstance(events[0].data, dict) and events[0].data.get("version") != VERSION:
            raise ConfigError(
                f"{self.path}: was written by another version of yacstune, in format {events[0].data.get('version')}; "
                f"this version has format {VERSION}: finish the search with that version, or start a new one"
            )
        check = EventCheck()
        for number, event in enumerate(events, start=1):
            problem = check.problem(event)
            if problem:
                raise self._unusable(number, problem)
        return events

    def _unusable(self, number: int, why: str) -> ConfigError:
        return ConfigError(
            f"{self.path}, line {number}: is no event of a search ({why}); mend the line, or start a new search"
        )

    def drop_torn_line(self) -> None:
        """Cuts off a last line that was not written whole, so that the next event starts on a line of its own."""
        if self.path.exists():
            with open(self.path, "r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def __call__(self, event: Event) -> None:
        """Appends an event."""
        content = {"kind": event.kind, "trial": event.trial, "time": event.time, "data": event.data}
        append_line(self.path, json.dumps(content))
