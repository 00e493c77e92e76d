"""What is sampled together: keys with distributions, branches, conditions, derived keys and constraints."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from configs.errors import ConfigError
from configs.tree import plain
from search.space.items import Constant, Constraint, Derived, Item, Parameter, is_branching
from search.space.options import LARGEST_GRID

LOOKED_AT = 10 * LARGEST_GRID  # combinations, most of which may violate the constraints
DRAWN = 1000  # points, to find one that satisfies the constraints


@dataclass(frozen=True)
class Point:
    """A sample.

    Attributes:
        params: what was sampled and derived, by key; a branch is the name at its node.
        settings: the config keys that it sets.
        sampled: what was sampled, by the name of the parameter.
        incomputable: why derived keys, which are left out, cannot be computed.
    """

    params: dict[str, Any]
    settings: dict[str, Any]
    sampled: dict[str, Any]
    incomputable: tuple[str, ...] = ()


class Space:
    """What is sampled together.

    Args:
        items: parameters, constants and derived keys, in the order of the file.
        constraints: that every sample satisfies.
        default: returns the value of a config key that no item sets.
        problems: returns what else is wrong with a point, if anything.

    Attributes:
        items: each after those that it looks at.
        parameters: those of them that are sampled.

    Raises:
        ConfigError: items look at each other in a circle.
    """

    def __init__(
        self,
        items: Sequence[Item],
        constraints: Sequence[Constraint] = (),
        default: Callable[[str], Any] = lambda key: None,
        problems: Callable[[Point], list[str]] = lambda point: [],
    ):
        self.items = _in_order(items)
        # Samples are made in an order that is the same whatever the order of the file.
        self._sequence = _in_order(sorted(items, key=lambda item: item.name))
        self.constraints = tuple(constraints)
        self.parameters = tuple(item for item in self.items if isinstance(item, Parameter))
        self.default = default
        self._problems = problems

    def point(self, choose: Callable[[Parameter], Any]) -> Point:
        """Returns the point that arises when each active parameter is asked for its value."""
        values: dict[str, Any] = {}
        sampled, derived, incomputable = {}, [], []
        for item in self._sequence:
            if not all(condition.holds(values) for condition in item.conditions):
                continue
            if isinstance(item, Parameter):
                sampled[item.name] = values[item.key] = choose(item)
            elif isinstance(item, Constant):
                values[item.key] = item.value
            elif isinstance(item, Derived):
                try:
                    values[item.key] = item.expression(partial(self._value, values))
                    derived.append(item.name)
                except ConfigError as error:
                    incomputable.append(f"{item.source}: {item.key}: derive: {error}")
        nodes = {parameter.key for parameter in self.parameters if is_branching(parameter)}
        shown = {*sampled, *derived}
        return Point(
            params={item.key: values[item.key] for item in self.items if item.name in shown},
            settings={key: value for key, value in values.items() if key not in nodes},
            sampled=sampled,
            incomputable=tuple(incomputable),
        )

    def point_of(self, values: Mapping[str, Any]) -> Point:
        """Returns the point of values, by name of the parameter."""
        return self.point(lambda parameter: values[parameter.name])

    def _value(self, values: Mapping[str, Any], key: str) -> Any:
        return values[key] if key in values else self.default(key)

    def problems(self, point: Point) -> list[str]:
        """Returns why a point cannot be trained: constraints that it violates, values that do not go together."""
        return self._violations(point) or self._problems(point)

    def _violations(self, point: Point) -> list[str]:
        if point.incomputable:
            return list(point.incomputable)
        problems = []
        lookup = partial(self._value, {**point.params, **point.settings})
        for constraint in self.constraints:
            try:
                if not constraint.expression(lookup):
                    problems.append(f"{constraint.source}: {constraint.expression.text} does not hold")
            except ConfigError as error:
                problems.append(f"{constraint.source}: {error}")
        return problems

    def random_point(self, rng: np.random.Generator, given: Mapping[str, Any] | None = None) -> Point:
        """Returns a point drawn from the distributions, whether it satisfies the constraints or not.

        Args:
            rng: of the values.
            given: values that are not drawn, by name of the parameter.
        """
        values = given or {}
        return self.point(lambda parameter: values.get(parameter.name, parameter.distribution.quantile(rng.random())))

    def draws(self, rng: np.random.Generator, given: Mapping[str, Any] | None = None) -> Iterator[Point]:
        """Draws many random points, whether they satisfy the constraints or not.

        Args:
            rng: of the values.
            given: values that are not drawn, by name of the parameter.
        """
        for _ in range(DRAWN):
            yield self.random_point(rng, given)

    def feasible_point(self, rng: np.random.Generator) -> Point:
        """Returns a random point that can be trained.

        Raises:
            ConfigError: none of many random points can, with what is most often wrong.
        """
        wrong: dict[str, int] = {}
        for point in self.draws(rng):
            problems = self.problems(point)
            if not problems:
                return point
            for problem in problems:
                wrong[problem] = wrong.get(problem, 0) + 1
        most = max(wrong, key=lambda problem: wrong[problem])
        raise ConfigError(f"none of {DRAWN} random samples can be trained; most often: {most}")

    def completed(self, given: Mapping[str, Any]) -> Point | None:
        """Returns a point with given values that can be trained, the others drawn; None if none of many can.

        Args:
            given: values by name of the parameter; see `uses`.
        """
        drawn = self.draws(np.random.default_rng(0), given)
        return next((point for point in drawn if self.uses(point, given) and not self.problems(point)), None)

    def uses(self, point: Point, given: Mapping[str, Any]) -> bool:
        """Whether all given values are active in a point; of a key that stands in several branches, that of one."""
        keys = {parameter.name: parameter.key for parameter in self.parameters}
        return {keys[name] for name in given} == {keys[name] for name in given if name in point.sampled}

    def unreachable(self) -> list[Item]:
        """Returns the items whose conditions hold in none of many samples that can be trained."""
        return [item for item in self.items if item.conditions and not self._is_reachable(item)]

    def _is_reachable(self, item: Item) -> bool:
        rng = np.random.default_rng(0)
        wanted = {condition.key: condition.values for condition in item.conditions}

        def choose(parameter: Parameter) -> Any:
            fitting = [value for value in wanted.get(parameter.key, ()) if parameter.distribution.contains(value)]
            return fitting[rng.integers(len(fitting))] if fitting else parameter.distribution.quantile(rng.random())

        for _ in range(DRAWN):
            point = self.point(choose)
            values = {**point.params, **point.settings}
            if all(condition.holds(values) for condition in item.conditions) and not self.problems(point):
                return True
        return False

    @property
    def is_finite(self) -> bool:
        """Whether all combinations could be listed."""
        return all(parameter.distribution.size is not None for parameter in self.parameters)

    def points(self) -> tuple[Point, ...]:
        """Returns every point within the constraints of a space that has a size, the last parameter changing first."""
        assert self._points is not None  # it has a size
        return self._points

    @cached_property
    def _points(self) -> tuple[Point, ...] | None:
        if any((parameter.distribution.size or math.inf) > LOOKED_AT for parameter in self.parameters):
            return None
        found = []
        for number, point in enumerate(self._combinations()):
            if not self._violations(point):
                found.append(point)
            if len(found) > LARGEST_GRID or number >= LOOKED_AT:
                return None
        return tuple(found)

    def _combinations(self) -> Iterator[Point]:
        values = {parameter.name: parameter.distribution.values() for parameter in self.parameters}
        positions: list[int] = []  # of the values of the first parameters that are active, in their order
        while True:
            chosen: list[tuple[int, int]] = []  # of each active parameter: the position, and how many there are
            yield self.point(partial(_choose_next, values, positions, chosen))
            while chosen and chosen[-1][0] + 1 == chosen[-1][1]:
                chosen.pop()
            if not chosen:
                return
            positions = [position for position, _ in chosen]
            positions[-1] += 1

    @property
    def size(self) -> int | None:
        """How many points there are; None: without end, or too many to count."""
        return None if self._points is None else len(self._points)

    def fits(
        self, params: Mapping[str, Any], settings: Mapping[str, Any] | None = None, is_bounded: bool = True
    ) -> Point | None:
        """Returns the point of a sample that may have been made from another space, None if it is none of this one.

        A key that the sample lacks has its default; a key that is not sampled here must have it.

        Args:
            params: of the sample, by key.
            settings: the config keys that it set, which must be those that it would set now; None: not compared.
            is_bounded: whether its values must lie within their ranges.
        """
        try:
            point = self.point(lambda parameter: self._value_in(params, parameter, is_bounded))
        except LookupError:
            return None
        if self.problems(point):
            return None
        before = params if settings is None else settings
        now = point.params if settings is None else point.settings
        changed = (key for key in {*before, *now} if self._value(before, key) != self._value(now, key))
        return None if any(changed) else point

    def _value_in(self, params: Mapping[str, Any], parameter: Parameter, is_bounded: bool) -> Any:
        if parameter.key in params:
            value = params[parameter.key]
        elif is_branching(parameter):
            raise LookupError(parameter.key)
        else:
            value = plain(self.default(parameter.key))
        if (is_bounded or is_branching(parameter)) and not parameter.distribution.contains(value):
            raise LookupError(parameter.key)
        return value

    def to_yaml(self, branch: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
        """Returns the items of a branch, or the outermost ones, as a space file writes them."""
        lines: dict[str, Any] = {}
        inside = f"{branch[-1][0]}." if branch else ""
        for item in self.items:
            if item.branch != branch:
                continue
            line: Any
            if isinstance(item, Parameter):
                line = item.distribution.to_yaml()
                if is_branching(item):
                    names = item.distribution.values()
                    line = {"choice": {name: self.to_yaml((*branch, (item.key, name))) for name in names}}
            elif isinstance(item, Derived):
                line = {"derive": item.expression.text}
            else:
                assert isinstance(item, Constant)  # there is nothing else
                line = item.value
            if item.when:
                line["when"] = {key: value for condition in item.when for key, value in condition.to_yaml().items()}
            lines[item.key.removeprefix(inside)] = line
        return lines


def _choose_next(
    values: Mapping[str, list[Any]], positions: list[int], chosen: list[tuple[int, int]], parameter: Parameter
) -> Any:
    """Returns the value of a parameter at its position, the first one if it has none, and notes what was chosen."""
    position = positions[len(chosen)] if len(chosen) < len(positions) else 0
    chosen.append((position, len(values[parameter.name])))
    return values[parameter.name][position]


def _in_order(items: Sequence[Item]) -> tuple[Item, ...]:
    """Returns the items in an order in which each stands behind those that it looks at."""
    waiting, ordered = list(items), []
    while waiting:
        unknown = {item.key for item in waiting}
        ready = next((item for item in waiting if not unknown.intersection(item.depends_on)), None)
        if ready is None:
            circle = [item for item in waiting if not isinstance(item, Constant)]
            raise ConfigError(
                [f"{item.source}: {item.key} looks at {', '.join(item.depends_on)}, in a circle" for item in circle]
            )
        waiting.remove(ready)
        ordered.append(ready)
    return tuple(ordered)
