"""The one event stream of a search: what happened to which trial, kept in events.jsonl and told to listeners.

events.jsonl is the truth about a search: results, best.yaml and resuming are all made from it. It is append-only; a
last line that was cut off is dropped.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.files import append_line

VERSION = 2  # of the file

SEARCH_STARTED = "search_started"
TRIAL_STARTED = "trial_started"
TRIAL_REPORTED = "trial_reported"
TRIAL_PROMOTED = "trial_promoted"  # it goes on from a rung
TRIAL_STOPPED = "trial_stopped"  # early, by the scheduler
TRIAL_DONE = "trial_done"  # all its epochs
TRIAL_FAILED = "trial_failed"
SEARCH_ENDED = "search_ended"


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        kind: one of the names above.
        trial: the number of the trial, or None for events of the search.
        data: search_started has version and data_digest; trial_started has id, params, settings, donor, confirms,
            is_reference and notes (see TrialRecord); trial_reported has metrics, and the worker's pid; trial_promoted
            has promotion, which says why (see Promotion in search/engine/rungs.py); trial_failed has reason and
            is_tried_again; trial_done and trial_stopped have unread, where the trial said it; search_ended has reason,
            and is_exhausted: whether there was nothing new to sample.
        time: seconds since 1970.
    """

    kind: str
    trial: int | None = None
    data: dict[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


class EventLog:
    """Appends events to a file, one JSON object a line."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def read(self) -> list[Event]:
        """Returns the events of the file, none if it is missing.

        Raises:
            ConfigError: the file is not an event log of this version.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        lines = content[: content.rfind(b"\n") + 1].splitlines()
        events = []
        for number, line in enumerate(lines, start=1):
            try:
                events.append(Event(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise ConfigError(
                    f"{self.path}, line {number}: is no event of a search ({error}); mend the line, or start a new "
                    "search"
                ) from None
        if events and events[0].data.get("version") != VERSION:
            raise ConfigError(
                f"{self.path}: was written by another version of yacstune, in format {events[0].data.get('version')}; "
                f"this version has format {VERSION}: finish the search with that version, or start a new one"
            )
        return events

    def drop_torn_line(self) -> None:
        """Cuts off a last line that was not written whole, so that the next event starts on a line of its own."""
        if self.path.exists():
            with open(self.path, "r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)

    def __call__(self, event: Event) -> None:
        """Appends an event."""
        content = {"kind": event.kind, "trial": event.trial, "time": event.time, "data": event.data}
        append_line(self.path, json.dumps(content))


class EventStream:
    """Tells every event to every listener, in their order."""

    def __init__(self, listeners: Iterable[Callable[[Event], None]] = ()):
        self.listeners = list(listeners)

    def emit(self, kind: str, trial: int | None = None, **data: Any) -> Event:
        """Makes an event of what happened now, passes it on and returns it."""
        event = Event(kind, trial, data)
        for listener in self.listeners:
            listener(event)
        return event
