"""The one event stream of a search: what happened to which trial, told to listeners."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

SEARCH_STARTED = "search_started"
TRIAL_STARTED = "trial_started"
TRIAL_REPORTED = "trial_reported"
TRIAL_PROMOTED = "trial_promoted"  # it goes on from a rung
TRIAL_STOPPED = "trial_stopped"  # early, by the scheduler
TRIAL_DONE = "trial_done"  # all its epochs
TRIAL_FAILED = "trial_failed"
SEARCH_ENDED = "search_ended"

TIME_IS_UP = "time budget used up"  # a reason why a search ended


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Attributes:
        kind: one of the names above.
        trial: the number of the trial, or None for events of the search.
        data: search_started has version, data_digest and code; trial_started has id, params, settings, donor, confirms,
            is_reference and notes (see TrialRecord); trial_reported has metrics, and the worker's pid and node;
            trial_promoted has promotion, which says why (see Promotion in search/engine/rungs.py); trial_failed has
            reason, node and is_tried_again; trial_done and trial_stopped have unread, where the trial said it;
            search_ended has reason, and is_exhausted: whether there was nothing new to sample.
        time: seconds since 1970.
    """

    kind: str
    trial: int | None = None
    data: dict[str, Any] = field(default_factory=dict)
    time: float = field(default_factory=time.time)


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
