"""Start points: configs that a search begins with, checked against the space."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from configs.errors import Problems, did_you_mean
from configs.loader import read_setting
from configs.settings import Setting, resolve_name
from configs.tree import plain
from search.space.items import Constant, Item, Parameter, is_branching
from search.space.options import StartPoint
from search.space.space import Space


def read_start(
    start: Sequence[StartPoint],
    space: Space,
    branches: Mapping[str, Sequence[str]],
    fixed: Container[str],
    notes: list[str],
    problems: Problems,
    is_bounded: bool = False,
) -> tuple[tuple[StartPoint, ...], tuple[dict[str, Any], ...]]:
    """Returns the start points without what the command line fixes, and their values by name of the parameter.

    Args:
        start: as the space file has them.
        space: what is sampled.
        branches: of the space file, by their node; some may be excluded by what is fixed.
        fixed: keys that the command line gives a value.
        notes: which points are left out, and why, is added here.
        problems: what is wrong is added here.
        is_bounded: whether `defaults` must lie within the ranges, as in a population, whose values change.
    """
    possible = {item.key: item.distribution.values() for item in space.parameters if is_branching(item)}
    left: dict[int, tuple[StartPoint, dict[str, Any]]] = {}  # by number
    changed: set[int] = set()
    for number, original in enumerate(start, start=1):
        why = _why_excluded(original, branches, possible)
        point = _without_fixed(original, branches, fixed)
        if point != original:
            changed.add(number)
            why = why or ("" if point.values else "what is its own is fixed by the command line")
        before = len(problems)
        values = {} if why else start_values(point, space, problems, is_bounded)
        if len(problems) > before:
            continue
        twin = next((other for other, (_, known) in left.items() if known == values), None)
        if not why and twin is not None and changed & {number, twin}:
            why = f"with what the command line fixes, it is the same as point {twin}"
        if why:
            notes.append(f"{point.source} is left out: {why}")
        elif twin is not None:
            problems.add(source=point.source, message=f"is the same as point {twin}; remove one of them")
        else:
            left[number] = point, values
            if number in changed:
                notes.append(f"{point.source} is trained with what the command line fixes")
    return tuple(point for point, _ in left.values()), tuple(values for _, values in left.values())


def _without_fixed(point: StartPoint, branches: Container[str], fixed: Container[str]) -> StartPoint:
    if point.values is None:
        return point
    is_fixed = {key: key not in branches and resolve_name(key, "", "", Problems()) in fixed for key in point.values}
    return replace(point, values={key: value for key, value in point.values.items() if not is_fixed[key]})


def _why_excluded(
    point: StartPoint, branches: Mapping[str, Sequence[str]], possible: Mapping[str, Sequence[str]]
) -> str:
    """Returns which branch of a point the command line excludes, or nothing."""
    for key, value in (point.values or {}).items():
        if value in branches.get(key, ()) and value not in possible.get(key, ()):
            return f"{key} {value} does not go with what the command line fixes"
    return ""


def start_values(start: StartPoint, space: Space, problems: Problems, is_bounded: bool = False) -> dict[str, Any]:
    """Returns the values of a start point by name of the parameter.

    Args:
        start: without what is fixed.
        space: what is sampled.
        problems: what is wrong is added here.
        is_bounded: as of `read_start`.
    """
    if start.values is None:
        return _default_values(start, space, problems, is_bounded)
    found: dict[str, Any] = {}
    before = len(problems)
    branching = {parameter.key for parameter in space.parameters if is_branching(parameter)}
    for given, value in start.values.items():
        key = given if given in branching else resolve_name(given, "", start.source, problems)
        if key is None:
            continue
        meant = [parameter for parameter in space.parameters if parameter.key == key]
        if not meant:
            known = [parameter.key for parameter in space.parameters]
            problems.add(source=start.source, message=f"{key} is not sampled.{did_you_mean(key, known)}")
            continue
        wrong = Problems()
        read = value if key in branching else plain(read_setting(Setting(key, value, start.source), wrong))
        problems += wrong
        if wrong:
            continue
        fitting = [parameter for parameter in meant if parameter.distribution.contains(read)]
        if not fitting and len(problems) == before:
            ranges = " or ".join(str(parameter.distribution.to_yaml()) for parameter in meant)
            problems.add(source=start.source, message=f"{key}: found {value!r}, which is not within {ranges}")
        found |= {parameter.name: read for parameter in fitting}
    if len(problems) == before:
        _check_start(start, space, found, problems)
    return found


def base_values(space: Space) -> dict[str, Any]:
    """Returns what the base config has for the keys that are sampled or derived, where they would be active in it.

    A branch has its name, if the base is one of them.
    """
    return {item.key: value for item, value in _base_items(space)}


def base_parameters(space: Space) -> list[Parameter]:
    """Returns the parameters that are active in the base config."""
    return [item for item, _ in _base_items(space) if isinstance(item, Parameter)]


def _base_items(space: Space) -> list[tuple[Item, Any]]:
    values: dict[str, Any] = {}
    found: list[tuple[Item, Any]] = []
    for item in space.items:  # each stands behind those that it looks at
        if isinstance(item, Constant):
            continue
        if all(
            condition.holds({condition.key: space.default(condition.key)} | values) for condition in item.conditions
        ):
            is_node = isinstance(item, Parameter) and is_branching(item)
            value = _base_branch(space, item) if is_node else plain(space.default(item.key))
            if not (is_node and value is None):
                values[item.key] = value
                found.append((item, value))
    return found


def _base_branch(space: Space, node: Item) -> Any:
    """Returns the branch of a node that the base config has, None if it has none of them."""
    assert isinstance(node, Parameter)
    return next((name for name in node.distribution.values() if _is_default(space, node.key, name)), None)


def _default_values(start: StartPoint, space: Space, problems: Problems, is_bounded: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def choose(parameter: Parameter) -> Any:
        if is_branching(parameter):
            value: Any = _base_branch(space, parameter)
        else:
            value = plain(space.default(parameter.key))
        is_known = not is_branching(parameter) and not is_bounded
        if is_known or parameter.distribution.contains(value):
            found[parameter.name] = value
            return value
        what = "no branch is what the base config has" if value is None else f"the default {value!r} is not within it"
        problems.add(
            source=start.source,
            message=f"defaults: {parameter.key}: {parameter.distribution.to_yaml()}: {what}; give a point "
            "without `defaults`, or widen the space",
        )
        return parameter.distribution.probes()[0]

    before = len(problems)
    space.point(choose)
    if len(problems) == before:
        _check_start(start, space, found, problems)
    return found


def _is_default(space: Space, node: str, name: str) -> bool:
    """Whether the constants of a branch are what the base config has."""
    own = [item for item in space.items if isinstance(item, Constant) and item.branch[-1:] == ((node, name),)]
    return all(space.default(item.key) == item.value for item in own)


def _check_start(start: StartPoint, space: Space, values: Mapping[str, Any], problems: Problems) -> None:
    """Whether the point can be completed to one that can be trained, and its values are all used."""
    if space.completed(values):
        return
    keys = {parameter.name: parameter.key for parameter in space.parameters}
    wrong: list[str] = []
    used: set[str] = set()
    for point in space.draws(np.random.default_rng(0), values):
        used |= {keys[name] for name in point.sampled if name in values}
        if not wrong and space.uses(point, values):
            wrong = space.problems(point)
    unused = sorted({keys[name] for name in values} - used)
    problems += [f"{start.source}: {key} is not active with the other values of the point" for key in unused]
    if not unused:
        wrong = wrong or [f"{', '.join(sorted(used))} are not active together"]
        problems += [f"{start.source}: cannot be completed to a sample that can be trained: {one}" for one in wrong]
