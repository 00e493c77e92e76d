"""Kinds of trials that learn at different speeds, such as backbones: keys whose values make them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from configs.errors import Problems, did_you_mean
from search.space.distributions import Choice
from search.space.items import Constant, Parameter
from search.space.options import SearchOptions
from search.space.space import Space

BACKBONE = "MODEL.BACKBONE.NAME"


def kinds_of_space(space: Space, options: SearchOptions, sampled: Sequence[str], problems: Problems) -> tuple[str, ...]:
    """Returns the keys whose values are kinds: those that the options name, else the backbone's name.

    Args:
        space: what is sampled.
        options: of the search.
        sampled: keys of the space file; the command line may fix some of them.
        problems: what is wrong is added here.
    """
    if options.kinds is None:
        return (BACKBONE,) if options.can_have_kinds and is_chosen(BACKBONE, space) else ()
    where, in_space = options.sources.get("kinds", ""), {item.key for item in space.items}
    kinds = []
    for given in options.kinds:
        key = f"{given}.NAME" if given not in sampled and f"{given}.NAME" in sampled else given
        if is_chosen(key, space):
            kinds.append(key)
        elif key not in sampled:
            problems.add(source=where, message=f"kinds: {given} is not sampled.{did_you_mean(given, sampled)}")
        elif key in in_space:
            problems.add(
                source=where, message=f"kinds: {key} is no choice; kinds are the values of a choice, or branches"
            )
    return tuple(kinds)


def is_chosen(key: str, space: Space) -> bool:
    """Whether a key has one of several values that a space lists: in a choice, or in branches."""
    own = [item for item in space.items if item.key == key]
    nodes = {parameter.key: parameter.distribution.size for parameter in space.parameters}
    is_in_all = any(
        not item.branch or sum(i.branch[:-1] == item.branch[:-1] for i in own) == nodes[item.branch[-1][0]]
        for item in own
    )
    values = [] if is_in_all else [space.default(key)]
    for item in own:
        if isinstance(item, Parameter) and isinstance(item.distribution, Choice):
            values += item.distribution.values()
        elif isinstance(item, Constant):
            values.append(item.value)
    return len({repr(value) for value in values}) > 1


def kind_of(params: Mapping[str, Any], settings: Mapping[str, Any], kinds: Sequence[str], space: Space) -> str:
    """Returns which kind a sample is, in words; all are one where there are no kinds.

    Args:
        params: what was sampled, by key; a branch is the name at its node.
        settings: the config keys that it sets.
        kinds: keys whose values make them.
        space: which has the values of keys that a sample does not set.
    """
    values = {**params, **settings}
    return ", ".join(str(values[key] if key in values else space.default(key)) for key in kinds)


def deciding_values(space: Space, kinds: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Returns the ways to each kind that can be trained: values of choices and branches, by name of the parameter."""
    in_kinds = [item for item in space.items if item.key in kinds]
    deciding = {*kinds, *(key for item in in_kinds for key in item.depends_on)}
    names = {item.name for item in space.parameters if item.key in deciding and isinstance(item.distribution, Choice)}
    ways: dict[str, dict[str, dict[str, Any]]] = {}
    for point in space.draws(np.random.default_rng(0)):
        way = {name: value for name, value in point.sampled.items() if name in names}
        ways.setdefault(kind_of(point.params, point.settings, kinds, space), {}).setdefault(repr(way), way)
    possible = {
        kind: [own[text] for text in sorted(own) if space.completed(own[text])] for kind, own in sorted(ways.items())
    }
    return {kind: own for kind, own in possible.items() if own}
