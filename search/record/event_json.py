"""Events as JSON, and back: the format of events.jsonl, its versions, and what is wrong with an event in it."""

import re
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from configs.lineage import LINEAGE
from search.record.events import (
    VERSION,
    Donor,
    EpochReported,
    Event,
    Promotion,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialPromoted,
    TrialStarted,
    WorkerReady,
)
from search.record.outcomes import ENDED, State

READABLE = (2, VERSION)

_KINDS: dict[str, type[Event]] = {
    "search_started": SearchStarted,
    "trial_started": TrialStarted,
    "worker_ready": WorkerReady,
    "trial_reported": EpochReported,
    "trial_promoted": TrialPromoted,
    "trial_ended": TrialEnded,
    "search_ended": SearchEnded,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}

# Version 2 had an event for each end, and did not tell a trial that waits from one that is stopped for good: the
# controller does, when such a search is resumed.
_ENDS_OF_VERSION_2 = {"trial_stopped": State.STOPPED, "trial_done": State.DONE, "trial_failed": State.FAILED}


def to_json(event: Event) -> dict[str, Any]:
    """Returns an event as a mapping of what JSON has."""
    data = asdict(event)
    return {"kind": _NAMES[type(event)], "trial": data.pop("trial", None), "time": data.pop("time"), "data": data}


def from_json(content: Any) -> Event:
    """Returns the event of a mapping, of this version or the one before.

    Raises:
        ValueError: it is not a valid event; says why.
    """
    if not isinstance(content, dict) or not content.keys() <= {"kind", "trial", "time", "data"}:
        raise ValueError("expected kind, trial, time and data")
    kind, trial, data = content.get("kind"), content.get("trial"), content.get("data", {})
    if not isinstance(kind, str) or kind not in {*_KINDS, *_ENDS_OF_VERSION_2}:
        raise ValueError(f"unknown kind {kind!r}")
    _check(isinstance(data, dict), "data is no mapping")
    _check(_is_number(content.get("time")), f"time is {content.get('time')!r}, which is no number")
    if kind in _ENDS_OF_VERSION_2:
        kind, data = "trial_ended", _end_of_version_2(kind, data)
    of_search = _KINDS[kind] in (SearchStarted, SearchEnded)
    if of_search:
        _check(trial is None, f"trial is {trial!r}, which no event of the whole search has")
    else:
        _check(_is_whole(trial), f"trial is {trial!r}, which is no number of a trial")
    return _READERS[kind]({} if of_search else {"trial": trial}, data, float(content["time"]))


def _end_of_version_2(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    if kind == "trial_failed":
        _check(isinstance(data.get("reason"), str), "reason is no text")
        state = State.INTERRUPTED if data.get("is_tried_again") else State.FAILED
    else:
        state = _ENDS_OF_VERSION_2[kind]
    return {**data, "state": state.value}


def _known(kind: type[Event], data: dict[str, Any]) -> dict[str, Any]:
    """Returns what an event has of its data; later versions may write more, and earlier ones less."""
    return {field.name: data[field.name] for field in fields(kind) if field.name in data}


def _search_started(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    _check(
        data.get("version") in READABLE,
        f"its format is {data.get('version')}, and can be {' or '.join(map(str, READABLE))}",
    )
    for name in ("code", "base", "space", "options", "resources", "versions"):
        _check(isinstance(data.get(name, {}), dict), f"{name} is no mapping")
    _check(isinstance(data.get("data_digest"), str | None), "data_digest is no text")
    return SearchStarted(**_known(SearchStarted, data), time=time)


def _search_ended(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    _check(isinstance(data.get("reason"), str), "reason is no text")
    _check(isinstance(data.get("is_exhausted", False), bool), "is_exhausted is neither true nor false")
    return SearchEnded(**_known(SearchEnded, data), time=time)


def _trial_started(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    id_ = data.get("id")
    is_name = isinstance(id_, str) and re.fullmatch(r"[\w-]{1,64}", id_)
    _check(bool(is_name), f"id is {id_!r}; allowed are letters, digits, _ and -, since it names a folder")
    for name in ("params", "settings", "notes"):
        _check(isinstance(data.get(name, {} if name == "notes" else None), dict), f"{name} is no mapping")
    _check(isinstance(data.get("is_reference", False), bool), "is_reference is neither true nor false")
    confirms, donor = data.get("confirms"), data.get("donor")
    is_repeat = _is_whole(confirms) and _is_whole(data["params"].get("SEED"))
    problem = f"confirms is {confirms!r}; it must be an earlier trial, and params must have the SEED"
    _check(confirms is None or is_repeat, problem)
    _check(donor is None or _is_donor(donor), f"donor is {donor!r}, which is no epoch of an earlier trial")
    is_lineage = _is_lineage(data["settings"].get(LINEAGE, []))
    _check(is_lineage, f"{LINEAGE} of settings is no list of epochs, each with trial, epochs and settings")
    taken = None if donor is None else Donor(donor["number"], donor["name"], donor["epoch"])
    return TrialStarted(**trial, **{**_known(TrialStarted, data), "donor": taken}, time=time)


def _worker_ready(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    return WorkerReady(**trial, time=time)


def _epoch_reported(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    row = data.get("metrics")
    is_row = isinstance(row, dict) and _is_whole(row.get("epoch")) and row["epoch"] >= 1
    _check(is_row, "metrics has no epoch, a whole number from 1")
    assert isinstance(row, dict)
    _check_numbers(row)
    _check(isinstance(data.get("seconds", {}), dict), "seconds is no mapping")
    _check_numbers(data.get("seconds", {}))
    _check(isinstance(data.get("node", ""), str), "node is no text")
    _check(_is_whole(data.get("pid", 0)), "pid is no whole number")
    return EpochReported(**trial, **_known(EpochReported, data), time=time)


def _trial_promoted(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    promotion = data.get("promotion")
    names = [field.name for field in fields(Promotion)]
    _check(
        isinstance(promotion, dict) and {*names} <= promotion.keys(), f"promotion is no mapping of {', '.join(names)}"
    )
    assert isinstance(promotion, dict)
    for name in ("rung", "holds", "place", "of"):
        _check(_is_whole(promotion[name]), f"{name} of promotion is no whole number")
    is_right = isinstance(promotion["kind"], str) and isinstance(promotion["is_whole"], bool)
    _check(is_right, "kind of promotion is no text, or is_whole neither true nor false")
    return TrialPromoted(**trial, promotion=Promotion(**{name: promotion[name] for name in names}), time=time)


def _trial_ended(trial: dict[str, Any], data: dict[str, Any], time: float) -> Event:
    ends = (State.INTERRUPTED, *ENDED)
    _check(data.get("state") in ends, f"state is {data.get('state')!r}, which is none in which a trial ends")
    for name in ("reason", "node"):
        _check(isinstance(data.get(name, ""), str), f"{name} is no text")
    unread = data.get("unread", [])
    is_list = isinstance(unread, (list, tuple)) and all(isinstance(key, str) for key in unread)
    _check(is_list, "unread is no list of keys")
    known = {**_known(TrialEnded, data), "state": State(data["state"]), "unread": tuple(unread)}
    return TrialEnded(**trial, **known, time=time)


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Any], float], Event]] = {
    "search_started": _search_started,
    "trial_started": _trial_started,
    "worker_ready": _worker_ready,
    "trial_reported": _epoch_reported,
    "trial_promoted": _trial_promoted,
    "trial_ended": _trial_ended,
    "search_ended": _search_ended,
}


def _check(is_right: bool, problem: str) -> None:
    if not is_right:
        raise ValueError(problem)


def _check_numbers(values: dict[str, Any]) -> None:
    for name, value in values.items():
        _check(_is_number(value), f"{name} is {value!r}, which is no number")


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


def _is_donor(value: Any) -> bool:
    is_mapping = isinstance(value, dict) and isinstance(value.get("name"), str)
    return is_mapping and _is_whole(value.get("number")) and _is_whole(value.get("epoch"))


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # which nan and infinity are not


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
