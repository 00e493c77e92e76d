"""What is known of every trial, built up event by event."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from configs.metric_names import best_row
from search.events import (
    SEARCH_ENDED,
    SEARCH_STARTED,
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_REPORTED,
    TRIAL_STARTED,
    TRIAL_STOPPED,
    Event,
)

RUNNING = "running"
INTERRUPTED = "interrupted"
STOPPED = "stopped"
DONE = "done"
FAILED = "failed"
FINISHED = (STOPPED, DONE, FAILED)  # states that resuming leaves alone

_ENDS = {TRIAL_STOPPED: STOPPED, TRIAL_DONE: DONE, TRIAL_FAILED: FAILED}


def trial_name(number: int, id: str) -> str:
    """Returns a trial's name, which is that of its folder."""
    return f"{number:04d}_{id}"


@dataclass
class TrialRecord:
    """A trial.

    Attributes:
        number: counted from 0.
        id: of its sample; with the number, the name of its folder.
        params: the sampled values, by key.
        state: running, interrupted, stopped (early, by the scheduler), done (all epochs) or failed.
        rows: the metrics of its epochs.
        reason: why it failed.
        seconds: wall time it has run.
    """

    number: int
    id: str
    params: dict[str, Any]
    state: str = RUNNING
    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0
    last_seen: float = 0.0

    @property
    def name(self) -> str:
        """Number and id, as its folder is named."""
        return trial_name(self.number, self.id)

    def best(self, metric: str) -> dict[str, Any] | None:
        """The metrics of the trial's best epoch, None if it has no epoch."""
        return best_row(metric, self.rows) if self.rows else None


class History:
    """All trials of a search, by number; a listener of its events."""

    def __init__(self, events: Iterable[Event] = ()):
        self.trials: dict[int, TrialRecord] = {}
        for event in events:
            self(event)

    def __call__(self, event: Event) -> None:
        """Takes note of an event."""
        if event.kind in (SEARCH_STARTED, SEARCH_ENDED):  # a search that died has not said that it ended
            for record in self.trials.values():
                if record.state == RUNNING:
                    record.state = INTERRUPTED
        if event.trial is None:
            return
        if event.kind == TRIAL_STARTED:
            known = self.trials.get(event.trial)
            record = known or TrialRecord(event.trial, event.data["id"], event.data["params"])
            self.trials[event.trial] = record
            record.state, record.last_seen = RUNNING, event.time
            return
        record = self.trials[event.trial]
        if record.state == RUNNING:
            record.seconds += event.time - record.last_seen
            record.last_seen = event.time
        if event.kind == TRIAL_REPORTED:
            row = event.data["metrics"]
            # an epoch whose checkpoint was lost is trained, and reported, again
            record.rows = [*(known for known in record.rows if known["epoch"] < row["epoch"]), row]
        elif event.kind in _ENDS:
            record.state = _ENDS[event.kind]
            record.reason = event.data.get("reason", "")

    def in_state(self, *states: str) -> list[TrialRecord]:
        """Returns the trials in any of some states, by number."""
        return [record for _, record in sorted(self.trials.items()) if record.state in states]

    def best_trial(self, metric: str) -> TrialRecord | None:
        """Returns the trial with the best epoch of all; failed ones do not count. Of equals, the earliest trial."""
        records = [record for record in self.in_state(RUNNING, INTERRUPTED, STOPPED, DONE) if record.rows]
        if not records:
            return None
        bests = [best_row(metric, record.rows) for record in records]
        return records[bests.index(best_row(metric, bests))]
