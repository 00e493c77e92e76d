"""Whether conditions can ever hold, and why not."""

from collections.abc import Sequence
from typing import Any

from search.space.distributions import Choice, FloatRange
from search.space.items import Condition, Constant, Derived, Item, Parameter


def can_hold(conditions: Sequence[Condition], items: Sequence[Item]) -> bool:
    """Whether some sample satisfies conditions, those of the keys that they look at included.

    Conditions on keys that the space does not give are left to the base config.
    """
    allowed: dict[str, list[Any]] = {}
    for condition in conditions:
        before = allowed.get(condition.key, list(condition.values))
        allowed[condition.key] = [value for value in before if value in condition.values]
    if not all(allowed.values()):
        return False
    for key, values in allowed.items():
        givers = [item for item in items if item.key == key]
        ways = [item for item in givers if any(_gives(item, value) for value in values)]
        more = [[c for c in item.conditions if c not in conditions] for item in ways]
        if givers and not any(not new or can_hold([*conditions, *new], items) for new in more):
            return False
    return True


def _gives(item: Item, value: Any) -> bool:
    if isinstance(item, Parameter):
        if isinstance(item.distribution, FloatRange):
            return False  # one value of a continuum
        return item.distribution.contains(value)
    return isinstance(item, Derived) or (isinstance(item, Constant) and item.value == value)


def unmet(conditions: Sequence[Condition], items: Sequence[Item]) -> list[str]:
    """Returns what the space says about keys that never have the values that conditions ask for."""
    said = []
    for condition in conditions:
        givers = [item for item in items if item.key == condition.key]
        if not any(_gives(item, value) for item in givers for value in condition.values):
            said += [
                f"{item.source} gives {item.key} the values {', '.join(map(str, item.distribution.values()))}"
                for item in givers
                if isinstance(item, Parameter) and isinstance(item.distribution, Choice)
            ]
    return said


def describe(conditions: Sequence[Condition]) -> str:
    """Returns conditions as people say them."""
    return " and ".join(f"{c.key} is {' or '.join(map(str, c.values))}" for c in conditions)
