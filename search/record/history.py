"""What is known of every trial, built up event by event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from configs.metric_names import best_row, sign
from search.record.events import (
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
LINEAGE = "LINEAGE"  # the setting that says which epochs came from which trial, under pbt and pb2
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
        params: what was sampled and derived, by key.
        settings: the config keys that it sets.
        state: running, interrupted, stopped (early, by the scheduler), done (all epochs) or failed.
        rows: the metrics of its epochs.
        reason: why it failed.
        seconds: wall time it has run.
        last_seen: when its last event was, in seconds since 1970.
        donor: whose weights it has taken over last: number, name and epoch; None: nobody's.
        confirms: the number of the trial that it repeats with another seed; None: it is no repeat.
        is_reference: whether it is the base config, which samples are compared with.
        notes: what the sampler keeps with it.
        failures: how often it has failed and was tried again.
        node: the machine that it ran on last.
        unread: keys that were sampled for it and that it never looked at.
        ended: its place in the order in which trials ended.
    """

    number: int
    id: str
    params: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    state: str = RUNNING
    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0
    last_seen: float = 0.0
    donor: dict[str, Any] | None = None
    confirms: int | None = None
    is_reference: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    node: str = ""
    unread: tuple[str, ...] = ()
    ended: int = -1

    def copy(self) -> "TrialRecord":
        """Returns a record that can change by itself."""
        return replace(self, rows=list(self.rows))

    def add(self, row: dict[str, Any]) -> None:
        """Adds the metrics of an epoch, in place of it and later ones where it was trained again."""
        while self.rows and self.rows[-1]["epoch"] >= row["epoch"]:  # their checkpoint was lost
            self.rows.pop()
        self.rows.append(row)

    @property
    def is_sample(self) -> bool:
        """Whether it was sampled: it is neither a repeat nor the reference."""
        return self.confirms is None and not self.is_reference

    @property
    def name(self) -> str:
        """Number and id, as its folder is named."""
        return trial_name(self.number, self.id)

    @property
    def title(self) -> str:
        """What people call it."""
        return "the base config" if self.is_reference else f"trial {self.number}"

    def params_at(self, epoch: int) -> dict[str, Any]:
        """What it had in an epoch, which may be from a trial whose weights it has taken over since: see LINEAGE."""
        for segment in self.settings.get(LINEAGE, ()):
            if segment["epochs"][0] <= epoch <= segment["epochs"][1]:
                return {key: segment["settings"].get(key, value) for key, value in self.params.items()}
        return self.params

    def best(self, metric: str) -> dict[str, Any] | None:
        """The metrics of the trial's best epoch, None if it has no epoch."""
        return best_row(metric, self.rows) if self.rows else None


class History:
    """All trials of a search; a listener of its events.

    Attributes:
        trials: by number.
        data_digest: of the data that all trials train on; None: it depends on the trial.
        code: checksums of USER_MODULES, as they were when the search was started, or resumed, last.
        ends_before: how many trials had ended when the search was started, or resumed, last.
    """

    def __init__(self, events: Iterable[Event] = ()):
        self.trials: dict[int, TrialRecord] = {}
        self.data_digest: str | None = None
        self.code: dict[str, str] = {}
        self._ends = 0
        self.ends_before = 0
        for event in events:
            self(event)

    def __call__(self, event: Event) -> None:
        """Takes note of an event."""
        if event.kind in (SEARCH_STARTED, SEARCH_ENDED):  # a search that died has not said that it ended
            for record in self.trials.values():
                if record.state == RUNNING:
                    record.state = INTERRUPTED
        if event.kind == SEARCH_STARTED:
            self.ends_before = self._ends
            self.data_digest = self.data_digest or event.data.get("data_digest")
            self.code = event.data.get("code", {})
        if event.trial is None:
            return
        if event.kind == TRIAL_STARTED:
            known = self.trials.get(event.trial)
            record = known or _record(event.trial, event.data)
            self.trials[event.trial] = record
            donor = event.data.get("donor")
            if donor and donor != record.donor:
                record.rows = self.trials[donor["number"]].rows[: donor["epoch"]]
                record.params, record.settings, record.donor = event.data["params"], event.data["settings"], donor
            record.state, record.last_seen = RUNNING, event.time
            return
        record = self.trials[event.trial]
        record.node = event.data.get("node", record.node)
        if record.state == RUNNING:
            record.seconds += event.time - record.last_seen
            record.last_seen = event.time
        if event.kind == TRIAL_REPORTED:
            record.add(event.data["metrics"])
        elif event.kind == TRIAL_FAILED and event.data.get("is_tried_again"):
            record.state, record.reason = INTERRUPTED, event.data["reason"]
            record.failures += 1
        elif event.kind in _ENDS:
            record.state = _ENDS[event.kind]
            record.reason = event.data.get("reason", "")
            record.unread = tuple(event.data.get("unread", ()))
            record.ended, self._ends = self._ends, self._ends + 1

    def by_end(self) -> list[TrialRecord]:
        """Returns the trials that have finished, in the order in which they did."""
        return sorted(self.in_state(*FINISHED), key=lambda record: record.ended)

    def samples(self) -> list[TrialRecord]:
        """Returns the trials that were sampled, by number: neither repeats nor the reference."""
        return [record for _, record in sorted(self.trials.items()) if record.is_sample]

    def reference(self) -> TrialRecord | None:
        """Returns the trial of the base config, None if there is none."""
        return next((record for record in self.trials.values() if record.is_reference), None)

    def candidates(self) -> list[TrialRecord]:
        """Returns the trials that may be the best of the search: samples and the reference, by number."""
        return [record for _, record in sorted(self.trials.items()) if record.confirms is None]

    def in_state(self, *states: str) -> list[TrialRecord]:
        """Returns the trials in any of some states, by number."""
        return [record for _, record in sorted(self.trials.items()) if record.state in states]

    def best_trial(self, metric: str) -> TrialRecord | None:
        """Returns the trial with the best epoch of all, repeats left out; see `best_records`."""
        return next(iter(best_records(self.candidates(), metric)), None)

    def best_sample(self, metric: str) -> TrialRecord | None:
        """Returns the sample with the best epoch of all; see `best_records`."""
        return next(iter(best_records(self.samples(), metric)), None)


def _record(number: int, data: dict[str, Any]) -> TrialRecord:
    return TrialRecord(
        number,
        data["id"],
        data["params"],
        data["settings"],
        confirms=data.get("confirms"),
        is_reference=data.get("is_reference", False),
        notes=data.get("notes", {}),
    )


def is_sample(data: Mapping[str, Any]) -> bool:
    """Whether the data of a trial's start are those of a sample: see TrialRecord."""
    return data.get("confirms") is None and not data.get("is_reference")


def with_result(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the trials that have a result and did not fail."""
    return [record for record in records if record.rows and record.state != FAILED]


def best_records(records: Sequence[TrialRecord], metric: str) -> list[TrialRecord]:
    """Returns the trials that have a result and did not fail, the best first.

    Of equals the reference comes first, then the earliest.
    """

    def rank(record: TrialRecord) -> tuple[float, bool, int]:
        best = record.best(metric)
        assert best is not None  # it has rows
        return -sign(metric) * best[metric], not record.is_reference, record.number

    return sorted(with_result(records), key=rank)
