"""Samples, times and sizes in words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from search.record.outcomes import State
from search.space.items import Condition

# States as they are told of a search that has ended, where they are called otherwise than in one that runs.
IN_THE_END = {State.WAITING: "stopped at a rung", State.STOPPED: "stopped early"}


def describe(params: Mapping[str, Any]) -> str:
    """Returns a sample in a line, keys without the path that they share with all others."""
    names = short_names(list(params))
    return ", ".join(f"{names[key]} {_short(value)}" for key, value in params.items())


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Returns the end of each key that says enough beside the others: HEAD.NAME, DROPOUT, LOSS.EPS and ADAM.EPS."""
    beside = [f".{key}" for key in keys]

    def shortest(key: str) -> str:
        return next((end for end in _ends(key) if sum(other.endswith(f".{end}") for other in beside) == 1), key)

    return {key: shortest(key) for key in keys}


def _ends(key: str) -> Iterator[str]:
    """Gives ends of a key, the shortest first; NAME says nothing alone."""
    parts = key.split(".")
    for count in range(2 if parts[-1] == "NAME" else 1, len(parts) + 1):
        yield ".".join(parts[-count:])


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Returns a time as people say it: 45 s, 12 min, 2 h 05 min, 3 d 4 h."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def clock(seconds: float) -> str:
    """Returns a time as a clock shows it: 07:45, 1:07:45."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def describe_conditions(conditions: Iterable[Condition]) -> str:
    """Returns when a parameter is active."""
    return ", ".join(f"{one.key} {' or '.join(map(str, one.values))}" for one in conditions)
