"""The lines of a space: keys that are sampled, constant or derived, branches, conditions and constraints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.space.distributions import Choice, Distribution
from search.space.expressions import Expression

TOTAL_EPOCHS = "MODEL.SOLVER.TOTAL_EPOCHS"


@dataclass(frozen=True)
class Condition:
    """Holds where a key has one of some values; where the key itself is inactive, it does not.

    Attributes:
        key: a config key, or the node of branches.
        values: any of which will do.
    """

    key: str
    values: tuple[Any, ...]

    def __hash__(self) -> int:
        return hash(self.key)  # values may be lists, which have no hash

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for a point, as far as that is known."""
        return self.key in values and values[self.key] in self.values

    def to_yaml(self) -> dict[str, Any]:
        """Returns it as a space file writes it."""
        single = len(self.values) == 1 and not isinstance(self.values[0], list)
        return {self.key: self.values[0] if single else list(self.values)}


@dataclass(frozen=True)
class Item:
    """A line of a space.

    Attributes:
        key: a config key, or the node of branches.
        source: where it is written, for messages.
        branch: the branches in which it stands, each as node and name, the outermost first.
        when: its own conditions.
    """

    key: str
    source: str
    branch: tuple[tuple[str, str], ...] = ()
    when: tuple[Condition, ...] = ()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All that must hold for it to be active."""
        return (*(Condition(node, (name,)) for node, name in self.branch), *self.when)

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The keys that must be known before it."""
        return tuple(condition.key for condition in self.conditions)

    @property
    def name(self) -> str:
        """Its key, and the branches in which it stands: no other parameter has this name."""
        return self.key + "".join(f" [{name}]" for _, name in self.branch)


@dataclass(frozen=True)
class Parameter(Item):
    """A key that is sampled, or a node whose branch is."""

    distribution: Distribution = field(kw_only=True)

    def is_within(self, params: Mapping[str, Any]) -> bool:
        """Whether a trial with these values has one of it, and one that lies in its range."""
        is_active = self.key in params and all(condition.holds(params) for condition in self.conditions)
        return is_active and self.distribution.contains(params[self.key])


@dataclass(frozen=True)
class Constant(Item):
    """A key that has one value: in all trials, or in those of a branch."""

    value: Any = field(kw_only=True)


@dataclass(frozen=True)
class Derived(Item):
    """A key that follows from others."""

    expression: Expression = field(kw_only=True)

    @property
    def depends_on(self) -> tuple[str, ...]:
        return (*super().depends_on, *self.expression.keys)


@dataclass(frozen=True)
class Constraint:
    """What must be true of every sample."""

    expression: Expression
    source: str


@dataclass(frozen=True)
class Branches(Choice):
    """The names of branches; what stands in them are items of their own."""


def is_branching(parameter: Parameter) -> bool:
    """Whether a branch is sampled, and not the value of a key."""
    return isinstance(parameter.distribution, Branches)
