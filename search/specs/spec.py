"""What a sampler or a scheduler declares about itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from configs.legal import Rule


@dataclass(frozen=True)
class Option:
    """An option of a sampler or a scheduler.

    Attributes:
        rule: its legal values.
        meaning: in a few words.
        default: where a space file does not say; None: the sampler's own, or as `meaning` says.
    """

    rule: Rule
    meaning: str
    default: Any = None


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A sampler or a scheduler.

    Attributes:
        name: in space files.
        meaning: in a sentence.
        module: whose function `build` makes it. It is imported when a search begins, and may import what is slow.
        options: by name.
    """

    name: str
    meaning: str
    module: str
    options: Mapping[str, Option] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """Returns the options that have a default."""
        return {name: option.default for name, option in self.options.items() if option.default is not None}

    def build(self, *args: Any) -> Any:
        """Calls the module's `build`: see Sampler and Scheduler in search/engine for its arguments."""
        return import_module(self.module).build(*args)


@dataclass(frozen=True, kw_only=True)
class SamplerSpec(Spec):
    """A sampler.

    Attributes:
        learns_from: "epochs": from the values of every epoch, of trials that were stopped early too;
            "values": from one value a trial, which must be comparable; "nothing": from no trial at all.
        has_objectives: whether it can have several.
        needs_whole_trainings: whether it compares trials that all schedulers but `none` would train differently long.
        tries_all: whether it goes through all combinations of a finite space.
        numbers_only: whether it samples nothing but numbers that are active in every trial, and the rest is random.
        spreads: whether it is asked again for a sample next to one that has not reported yet; it has to answer
            differently.
        keeps_pickles: whether it keeps pickles with the trials, which a resumed search loads.
    """

    learns_from: Literal["epochs", "values", "nothing"] = "nothing"
    has_objectives: bool = True
    needs_whole_trainings: bool = False
    tries_all: bool = False
    numbers_only: bool = False
    spreads: bool = False
    keeps_pickles: bool = False


@dataclass(frozen=True, kw_only=True)
class SchedulerSpec(Spec):
    """A scheduler.

    Attributes:
        compares_epochs: whether it compares trials by what they have reached after equally many epochs.
        is_population: whether it trains a population, whose values it chooses by itself.
        waits_with: options with which trials wait at rungs, and may be promoted; None: they never do.
        keeps_kinds_with: options with which kinds can be kept apart; None: they never can.
    """

    compares_epochs: bool = True
    is_population: bool = False
    waits_with: Mapping[str, Any] | None = None
    keeps_kinds_with: Mapping[str, Any] | None = None

    def has_rungs(self, options: Mapping[str, Any]) -> bool:
        """Whether trials wait at rungs, given all options."""
        return _holds(self.waits_with, options)

    def keeps_kinds(self, options: Mapping[str, Any]) -> bool:
        """Whether kinds can be kept apart, given all options."""
        return _holds(self.keeps_kinds_with, options)


def _holds(needed: Mapping[str, Any] | None, options: Mapping[str, Any]) -> bool:
    return needed is not None and all(options.get(name) == value for name, value in needed.items())
