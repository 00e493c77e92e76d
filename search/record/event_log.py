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
from search.record.event_json import READABLE, from_json, to_json
from search.record.events import EpochReported, Event, TrialEnded, TrialEvent, TrialStarted
from search.record.outcomes import State


def _with_shared_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a mapping whose names take memory once, whatever the number of events."""
    return {sys.intern(name): value for name, value in pairs}


class EventReader:
    """Reads a file of events, also one to which they are being appended."""

    def __init__(self, path: str | Path):
        self._path = Path(path)
        self._order = _Order()
        self._lines = 0  # that were read
        self._bytes = 0

    def read_new(self) -> list[Event]:
        """Returns the events that were not returned before, checked; none if the file is missing.

        Raises:
            ConfigError: the file is not an event log that this version can read.
        """
        if not self._path.exists():
            return []
        events: list[Event] = []
        with open(self._path, "rb") as file:
            file.seek(self._bytes)
            for line in file:
                if not line.endswith(b"\n"):  # torn, or being written
                    break
                self._lines += 1
                events.append(self._event(line))
                self._bytes += len(line)
        return events

    def _event(self, line: bytes) -> Event:
        try:
            content = json.loads(line, object_pairs_hook=_with_shared_names)
            if self._lines == 1:
                self._check_version(content)
            event = from_json(content)
            self._order.check(event)
        except ConfigError:
            raise
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{self._path}, line {self._lines}: is not a valid event ({error}); fix the line, or start a new search"
            ) from None
        return event

    def _check_version(self, content: Any) -> None:
        """Raises if the first line of the file is not the start of a search, or of another version."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind != "search_started":
            raise ValueError(f"it is {kind!r}, and the first is search_started")
        data = content.get("data")
        version = data.get("version") if isinstance(data, dict) else None
        if version not in READABLE:
            raise ConfigError(
                f"{self._path}: was written by another version of yacstune, in format {version}; this version reads "
                f"formats {' and '.join(map(str, READABLE))}: finish the search with that version, or start a new one"
            )


class EventLog:
    """Appends events to a file, one JSON object a line."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def read(self) -> list[Event]:
        """Returns the events of the file, as EventReader does."""
        return EventReader(self.path).read_new()

    def drop_torn_line(self) -> None:
        """Cuts off a last line that was not written whole, so that the next event starts on a line of its own."""
        if self.path.exists():
            with open(self.path, "r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def append(self, event: Event) -> None:
        """Appends an event.

        Raises:
            OSError: the disk is full, or the folder is gone.
        """
        append_line(self.path, json.dumps(to_json(event)))


class _Order:
    """Checks that events come after those that they need."""

    def __init__(self) -> None:
        self._started: set[int] = set()
        self._with_rows: set[int] = set()

    def check(self, event: Event) -> None:
        """Raises ValueError if an event of a trial comes before what it names or needs."""
        if isinstance(event, TrialStarted):
            self._check_start(event)
        elif isinstance(event, TrialEvent) and event.trial not in self._started:
            raise ValueError(f"trial {event.trial} has not started before")
        elif isinstance(event, EpochReported):
            self._with_rows.add(event.trial)
        elif isinstance(event, TrialEnded) and event.state == State.DONE and event.trial not in self._with_rows:
            raise ValueError(f"trial {event.trial} is done without an epoch")

    def _check_start(self, event: TrialStarted) -> None:
        if event.confirms is not None and event.confirms not in self._started:
            raise ValueError(
                f"confirms is {event.confirms!r}; it must be an earlier trial, and params must have the SEED"
            )
        if event.donor is not None:
            if event.donor.number not in self._started:
                raise ValueError(f"donor is {event.donor!r}, which is no epoch of an earlier trial")
            self._with_rows.add(event.trial)
        self._started.add(event.trial)
