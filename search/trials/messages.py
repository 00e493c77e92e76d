"""What a worker tells the driver through Ray: an epoch, or that the trial has failed.

A failure travels as a report too: a worker that raises loses its process, and the next trial waits for another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.record.outcomes import Outcome

MESSAGE = "message"  # the one key that is ours in a result of Ray's


@dataclass(frozen=True)
class EpochMessage:
    """A trial has trained an epoch.

    Attributes:
        metrics: see configs/metric_names.py.
        unread: keys that were sampled for the trial and that it has not read so far.
        seconds: what the time since the message before went to: see trainable/stopwatch.py.
    """

    metrics: dict[str, Any]
    unread: tuple[str, ...] = ()
    seconds: Mapping[str, float] | None = None


@dataclass(frozen=True)
class FailureMessage:
    """A trial has failed.

    Attributes:
        outcome: what kind of failure.
        reason: for people.
    """

    outcome: Outcome
    reason: str


Message = EpochMessage | FailureMessage


def to_result(message: Message) -> dict[str, Any]:
    """Returns what a worker reports to Ray."""
    return {MESSAGE: message}


def message_of(result: Mapping[str, Any] | None) -> Message | None:
    """Returns the message of a result of Ray's, None if there is none."""
    message: Message | None = (result or {}).get(MESSAGE)
    return message
