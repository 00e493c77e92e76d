"""What a scheduler is: it says after each epoch whether a trial goes on, and which of those that wait is promoted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from search.record.events import Promotion, TrialStarted
from search.record.outcomes import State
from search.space.kinds import kind_of
from search.space.options import SearchOptions
from search.space.space import Space

KindOf = Callable[[TrialStarted], str]


class Decision(Enum):
    """What becomes of a trial that has reported an epoch."""

    CONTINUE = "continue"
    WAIT = "wait"
    STOP = "stop"


@dataclass(frozen=True)
class Answer:
    """What a scheduler says to a report.

    Attributes:
        decision: what becomes of the trial.
        promotion: why it goes on from a rung at once; None: it has reached none, or waits.
    """

    decision: Decision
    promotion: Promotion | None = None


@dataclass(frozen=True)
class Takeover:
    """What a trial of a population goes on with: the weights of another, and values of its own.

    Attributes:
        donor: number of the other trial.
        epoch: after which its weights are taken.
        values: of the parameters, by name.
    """

    donor: int
    epoch: int
    values: dict[str, Any]


CONTINUE, WAIT, STOP = (Answer(decision) for decision in Decision)


class Scheduler:
    """Lets every trial train to its end; the others override what they decide.

    A scheduler knows trials by their numbers, is told of samples alone, and does the same when it is told the same
    again: that is how a search is resumed.

    Attributes:
        rungs: epochs after which trials are compared, the first ones first.
    """

    rungs: tuple[int, ...] = ()

    def start(self, start: TrialStarted) -> None:
        """Takes note that a trial starts, or goes on."""

    def reach(self, number: int, row: Mapping[str, Any]) -> Answer:
        """Decides on a trial that has reported the metrics of an epoch."""
        return CONTINUE

    def next(self, is_full: bool) -> int | None:
        """Returns the number of the trial that may go on first, None if all have to wait.

        Args:
            is_full: whether no new trial is to come any more.
        """
        return None

    def leave(self, number: int) -> Promotion | Takeover | None:
        """Takes note that a trial waits no longer, and says why, or what it takes over."""
        return None

    def end(self, number: int, state: State) -> None:
        """Takes note of how a trial has ended; not of one that is tried again."""


@dataclass(frozen=True)
class Setup:
    """What schedulers are built from.

    Attributes:
        options: scheduler, metric and mode, checked.
        space: what is sampled.
        total_epochs: of a full training.
    """

    options: SearchOptions
    space: Space
    total_epochs: int

    @property
    def last_epoch(self) -> int:
        """After which every trial ends."""
        return int(min(self.options.scheduler_options.get("max_t", self.total_epochs), self.total_epochs))

    def kind_of(self, start: TrialStarted) -> str:
        """Returns which kind a trial is, in words; empty where kinds are not kept apart."""
        kinds = self.options.kinds
        return kind_of(start.params, start.settings, kinds, self.space) if kinds else ""


def build_scheduler(options: SearchOptions, space: Space, total_epochs: int) -> Scheduler:
    """Builds the scheduler that a space file names."""
    scheduler: Scheduler = options.scheduler_spec.build(Setup(options, space, total_epochs))
    return scheduler
