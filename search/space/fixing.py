"""What is left of a space when some of its keys have one value: on the command line, or in the base config."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from configs.errors import Problems
from search.space.conditions import can_hold, describe
from search.space.items import Branches, Constant, Item, Parameter, is_branching


def fix_keys(
    items: Sequence[Item],
    fixed: Mapping[str, Any],
    base: Callable[[str], Any],
    notes: list[str],
    problems: Problems,
) -> list[Item]:
    """Returns the items that are left, without conditions that always hold.

    Args:
        items: of a space file.
        fixed: keys that the command line gives a value.
        base: returns the value of a key that no item gives.
        notes: what people should know is added here.
        problems: what is wrong is added here.
    """
    left = [item for item in items if not (isinstance(item, Constant) and not item.branch)]
    left = [item for item in _possible(left, fixed, notes, problems) if item.key not in fixed]
    left = _without_static_conditions(left, fixed, base, notes, problems)
    return [item for item in left if can_hold(item.conditions, left)]


def _possible(items: list[Item], fixed: Mapping[str, Any], notes: list[str], problems: Problems) -> list[Item]:
    """Returns the items without the branches that do not go with what is fixed."""
    left = items
    for node in [item for item in left if isinstance(item, Parameter) and is_branching(item)]:
        names = node.distribution.values()
        possible = [name for name in names if _is_possible(left, node.key, name, fixed)]
        if possible == names or node not in left:
            continue
        if not possible:
            if not node.branch:
                own = [
                    f"{name} has {item.key} {item.value}"
                    for name in names
                    for item in _constants(left, node.key, name)
                    if item.key in fixed
                ]
                problems.add(
                    f"command line: none of the branches of {node.key} goes with what is fixed there: {', '.join(own)}"
                )
            continue
        left = [item for item in left if all(n != node.key or name in possible for n, name in item.branch)]
        left[left.index(node)] = replace(node, distribution=Branches(tuple(possible)))
        if len(possible) == 1:
            notes.append(f"{node.key} is fixed to its branch {possible[0]} by the command line")
    return left


def _without_static_conditions(
    items: Sequence[Item],
    fixed: Mapping[str, Any],
    base: Callable[[str], Any],
    notes: list[str],
    problems: Problems,
) -> list[Item]:
    """Returns the items whose conditions on keys that are not sampled hold, without these conditions."""
    given = {item.key for item in items}
    kept = []
    for item in items:
        static = [c for c in item.when if c.key not in given]
        values = {c.key: fixed.get(c.key, base(c.key)) for c in static}
        failing = [condition for condition in static if not condition.holds(values)]
        if not failing:
            kept.append(replace(item, when=tuple(c for c in item.when if c.key in given)))
        elif any(condition.key in fixed for condition in failing):
            notes.append(
                f"{item.key} is not sampled: {describe(failing)} does not hold with what the command line fixes"
            )
        else:
            problems.add(
                source=item.source,
                message=f"{item.key}: when: can never hold: {describe(failing)}, but the base config has "
                f"{', '.join(f'{c.key} {values[c.key]}' for c in failing)}",
            )
    return kept


def _is_possible(items: Sequence[Item], node: str, name: str, fixed: Mapping[str, Any]) -> bool:
    """Whether a branch goes with what the command line fixes: its own constants, and one of the branches in it."""
    inside = [item for item in items if item.branch[-1:] == ((node, name),)]
    nodes = [item for item in inside if isinstance(item, Parameter) and is_branching(item)]
    return all(fixed.get(item.key, item.value) == item.value for item in _constants(items, node, name)) and all(
        any(_is_possible(items, inner.key, branch, fixed) for branch in inner.distribution.values()) for inner in nodes
    )


def _constants(items: Sequence[Item], node: str, name: str) -> list[Constant]:
    """Returns the constants that stand in a branch itself."""
    return [item for item in items if isinstance(item, Constant) and item.branch[-1:] == ((node, name),)]
