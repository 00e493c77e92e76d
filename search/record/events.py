"""What happens in a search, a class each. event_json.py says how they lie in a file."""

import time
from dataclasses import dataclass, field
from typing import Any

from search.record.outcomes import State

VERSION = 3  # of the format in which events are written, see event_json.py

# Reasons why a search ended.
TIME_IS_UP = "time budget used up"
FAILED_ALIKE = "trials in a row failed alike"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        time: seconds since 1970.
    """

    time: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class SearchStarted(Event):
    """A search begins, or is resumed; what it says counts from here on.

    Attributes:
        data_digest: of the data that all trials train on; None: it depends on the trial.
        code: checksums of USER_MODULES.
        base: the base config's values by key, where they are not the defaults; never a secret.
        space: what is sampled, as a space file writes it: its parts `space` and `constraints`.
        options: how it is searched, as a space file writes it.
        resources: of one trial (cpu, gpu), and how many run at a time (slots).
        versions: of Python and the packages that matter.
        version: of the format in which this event and those after it were written.
    """

    data_digest: str | None = None
    code: dict[str, str] = field(default_factory=dict)
    base: dict[str, Any] = field(default_factory=dict)
    space: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Donor:
    """Whose weights a trial of a population has taken over.

    Attributes:
        number: of the trial.
        name: of its folder.
        epoch: after which they were taken.
    """

    number: int
    name: str
    epoch: int


@dataclass(frozen=True, slots=True)
class TrialStarted(Event):
    """The controller has handed out a trial, or resumes it; see TrialRecord for the attributes."""

    trial: int
    id: str
    params: dict[str, Any]
    settings: dict[str, Any]
    notes: dict[str, Any] = field(default_factory=dict)
    donor: Donor | None = None
    confirms: int | None = None
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class WorkerReady(Event):
    """The process that trains a trial has begun; between the start and this, the trial waits for it."""

    trial: int


@dataclass(frozen=True, slots=True)
class EpochReported(Event):
    """A trial has trained an epoch.

    Attributes:
        trial: its number.
        metrics: see configs/metric_names.py.
        pid: of the worker process.
        node: the machine.
        seconds: what the time since the report before went to: see trainable/stopwatch.py.
    """

    trial: int
    metrics: dict[str, Any]
    pid: int = 0
    node: str = ""
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Promotion:
    """Why a trial goes on from a rung.

    Attributes:
        rung: the epoch at which it waited.
        holds: how many trials have reached the rung.
        kind: of the trial; empty where kinds are not kept apart.
        place: of the trial among those of its kind at the rung, 1 the best.
        of: how many of its kind have reached the rung.
        is_whole: whether it goes on to its end, as one of the first of its kind; else it is among the best.
    """

    rung: int
    holds: int
    kind: str
    place: int
    of: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class TrialPromoted(Event):
    """A trial goes on from a rung, at once or after it has waited."""

    trial: int
    promotion: Promotion


@dataclass(frozen=True, slots=True)
class TrialEnded(Event):
    """The run of a trial has ended; the trial itself may be resumed.

    Attributes:
        trial: its number.
        state: in which it is now.
        reason: why it failed, or fails for now: an interrupted trial with a reason is tried again.
        node: the machine, if it is known.
        unread: keys that were sampled for it and that it never read.
    """

    trial: int
    state: State
    reason: str = ""
    node: str = ""
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchEnded(Event):
    """A search has ended, or pauses.

    Attributes:
        reason: why.
        is_exhausted: whether there was nothing new to sample.
    """

    reason: str
    is_exhausted: bool = False


TrialEvent = TrialStarted | WorkerReady | EpochReported | TrialPromoted | TrialEnded
