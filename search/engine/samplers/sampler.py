"""What a sampler is: it proposes a point from space, trials and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from search.record.history import TrialRecord
from search.space.options import SearchOptions
from search.space.space import Point, Space


@dataclass(frozen=True)
class KnownTrial:
    """A trial that a sampler may learn from.

    Attributes:
        record: of the trial.
        sampled: its values by name of the parameter, without those outside their ranges; None: it does not fit the
            space.
    """

    record: TrialRecord
    sampled: Mapping[str, Any] | None


@dataclass(frozen=True)
class Sample:
    """A new point.

    Attributes:
        point: what is to be trained.
        notes: what the sampler wants to know of it later; JSON.
    """

    point: Point
    notes: dict[str, Any] = field(default_factory=dict)


class Sampler(Protocol):
    """Proposes points. A proposal is a function of what it is given: whatever else a sampler keeps is a cache."""

    @property
    def takes_incomplete(self) -> bool:
        """Whether it can learn from a trial that lacks the values of some parameters."""

    def propose(self, trials: Sequence[KnownTrial], given: Mapping[str, Any], number: int, attempt: int) -> Sample:
        """Returns a point, which may be known already, or violate a constraint: then there is another attempt.

        Args:
            trials: that have ended, in the order in which they did, then those that run.
            given: values of some parameters by name, which the point must have.
            number: of the sample, counted from 0.
            attempt: for this sample, counted from 0.
        """


def build_sampler(options: SearchOptions, space: Space) -> Sampler:
    """Builds the sampler that a space file names.

    Raises:
        ConfigError: it needs a package that is not installed.
    """
    sampler: Sampler = options.sampler_spec.build(options, space)
    return sampler
