"""What is wrong with events that are read from a file, which somebody may have changed."""

import re
import sys
from typing import Any

from search.record import events as kinds
from search.record.events import Event
from search.record.history import LINEAGE

_OF_SEARCH = (kinds.SEARCH_STARTED, kinds.SEARCH_ENDED)
_OF_TRIAL = (
    *(kinds.TRIAL_STARTED, kinds.TRIAL_REPORTED, kinds.TRIAL_PROMOTED),
    *(kinds.TRIAL_STOPPED, kinds.TRIAL_DONE, kinds.TRIAL_FAILED),
)


class EventCheck:
    """Checks events in their order."""

    def __init__(self) -> None:
        self._started: set[int] = set()

    def problem(self, event: Event) -> str:
        """Returns what is wrong with the next event; empty if nothing is."""
        if event.kind not in (*_OF_SEARCH, *_OF_TRIAL):
            return f"unknown kind {event.kind!r}"
        if not isinstance(event.data, dict):
            return "data is no mapping"
        if not _is_number(event.time):
            return f"time is {event.time!r}, which is no number"
        return _problem_of_search(event) if event.kind in _OF_SEARCH else self._problem_of_trial(event)

    def _problem_of_trial(self, event: Event) -> str:
        if not _is_whole(event.trial):
            return f"trial is {event.trial!r}, which is no number of a trial"
        if event.kind == kinds.TRIAL_STARTED:
            assert event.trial is not None
            problem = self._problem_of_start(event.data)
            self._started.add(event.trial)
            return problem
        if event.trial not in self._started:
            return f"trial {event.trial} has not started before"
        if not isinstance(event.data.get("node", ""), str):
            return "node is no text"
        if event.kind == kinds.TRIAL_REPORTED:
            return _problem_of_metrics(event.data.get("metrics"))
        if event.kind == kinds.TRIAL_PROMOTED and not isinstance(event.data.get("promotion"), dict):
            return "promotion is no mapping"
        is_needed = event.kind == kinds.TRIAL_FAILED
        if not isinstance(event.data.get("reason", None if is_needed else ""), str):
            return "reason is no text"
        unread = event.data.get("unread", [])
        if not isinstance(unread, list) or not all(isinstance(key, str) for key in unread):
            return "unread is no list of keys"
        return ""

    def _problem_of_start(self, data: dict[str, Any]) -> str:
        if not isinstance(data.get("id"), str) or not re.fullmatch(r"[\w-]{1,64}", data["id"]):
            return f"id is {data.get('id')!r}; allowed are letters, digits, _ and -, since it names a folder"
        unsaid: dict[str, Any] = {"params": None, "settings": None, "notes": {}}  # older versions had no notes
        wrong = [name for name, default in unsaid.items() if not isinstance(data.get(name, default), dict)]
        if wrong:
            return f"{wrong[0]} is no mapping"
        if not isinstance(data.get("is_reference", False), bool):
            return "is_reference is neither true nor false"
        confirms = data.get("confirms")
        is_known = _is_whole(confirms) and confirms in self._started
        if confirms is not None and not (is_known and _is_whole(data["params"].get("SEED"))):
            return f"confirms is {confirms!r}; it must be an earlier trial, and params must have the SEED"
        donor = data.get("donor")
        if donor is not None and not (
            isinstance(donor, dict)
            and _is_whole(donor.get("number"))
            and donor["number"] in self._started
            and _is_whole(donor.get("epoch"))
        ):
            return f"donor is {donor!r}, which is no epoch of an earlier trial"
        if not _is_lineage(data["settings"].get(LINEAGE, [])):
            return f"{LINEAGE} of settings is no list of epochs, each with trial, epochs and settings"
        return ""


def _problem_of_search(event: Event) -> str:
    if event.trial is not None:
        return f"trial is {event.trial!r}, which no event of the whole search has"
    if not isinstance(event.data.get("code", {}), dict):
        return "code is no mapping"
    if event.kind == kinds.SEARCH_ENDED and not isinstance(event.data.get("reason"), str):
        return "reason is no text"
    return ""


def _problem_of_metrics(row: Any) -> str:
    if not isinstance(row, dict) or not _is_whole(row.get("epoch")) or row["epoch"] < 1:
        return "metrics has no epoch, a whole number from 1"
    unusable = [name for name, value in row.items() if not _is_number(value)]
    return f"{unusable[0]} is {row[unusable[0]]!r}, which is no number" if unusable else ""


def _is_lineage(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(segment, dict)
        and _is_whole(segment.get("trial"))
        and isinstance(segment.get("settings"), dict)
        and isinstance(segment.get("epochs"), list)
        and len(segment["epochs"]) == 2
        and all(_is_whole(epoch) for epoch in segment["epochs"])
        for segment in value
    )


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # which nan and infinity are not


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
