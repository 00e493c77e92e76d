"""What is left of a space when some of its keys have one value: on the command line, or in the base config."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.conditions import can_hold, words
from search.space import Branches, Constant, Item, Parameter, is_branching


def fix_keys(
    items: Sequence[Item],
    fixed: Mapping[str, Any],
    base: Callable[[str], Any],
    notes: list[str],
    problems: list[str],
) -> list[Item]:
    """Returns the items that are left, without conditions that always hold.

    Args:
        items: of a space file.
        fixed: keys that the command line gives a value.
        base: returns the value of a key that no item gives.
        notes: what people should know is added here.
        problems: what is wrong is added here.
    """
    left = [item for item in items if not (isinstance(item, Constant) and not item.branch and not item.when)]
    chosen: dict[str, str] = {}  # branches that are fixed, by node
    for node in [item for item in left if isinstance(item, Parameter) and is_branching(item)]:
        names = [name for name in node.distribution.values() if not _contradicts(left, node.key, name, fixed)]
        if not names:
            problems.append(f"command line: none of the branches of {node.key} goes with what is fixed there")
        elif len(names) < len(node.distribution.values()):
            left = [item for item in left if all(n != node.key or name in names for n, name in item.branch)]
            if len(names) == 1:
                chosen[node.key] = names[0]
                notes.append(f"{node.key} is fixed to its branch {names[0]} by the command line and not sampled")
            else:
                left[left.index(node)] = replace(node, distribution=Branches(tuple(names)))
    left = [_without_branches(item, chosen) for item in left if item.key not in fixed and item.key not in chosen]

    given = {item.key for item in left}
    kept = []
    for item in left:
        static = [c for c in item.when if c.key not in given]
        values = {c.key: chosen.get(c.key, fixed.get(c.key, base(c.key))) for c in static}
        failing = [condition for condition in static if not condition.holds(values)]
        if not failing:
            kept.append(replace(item, when=tuple(c for c in item.when if c.key in given)))
        elif any(condition.key in fixed or condition.key in chosen for condition in failing):
            notes.append(f"{item.key} is not sampled: {words(failing)} does not hold with what the command line fixes")
        else:
            problems.append(
                f"{item.source}: {item.key}: when: can never hold: {words(failing)}, but the base config has "
                f"{', '.join(f'{c.key} {values[c.key]}' for c in failing)}"
            )
    return [item for item in kept if can_hold(item.conditions, kept)]


def _contradicts(items: Sequence[Item], node: str, name: str, fixed: Mapping[str, Any]) -> bool:
    """Whether a branch sets a key to something else than the command line."""
    return any(
        isinstance(item, Constant)
        and item.branch[-1:] == ((node, name),)
        and fixed.get(item.key, item.value) != item.value
        for item in items
    )


def _without_branches(item: Item, chosen: Mapping[str, str]) -> Item:
    return replace(item, branch=tuple(pair for pair in item.branch if pair[0] not in chosen))
