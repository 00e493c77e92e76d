"""What is known of every trial, built up event by event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from configs.metric_names import best_row, sign
from search.record.events import (
    Donor,
    EpochReported,
    Event,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    WorkerReady,
)
from search.record.lineage import segments_of
from search.record.outcomes import ENDED, State


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
        state: what it is doing, or how it has ended.
        rows: the metrics of its epochs.
        reason: why it failed.
        seconds: wall time it has run.
        last_seen: when its last event was, in seconds since 1970.
        donor: whose weights it has taken over last; None: nobody's.
        confirms: the number of the trial that it repeats with another seed; None: it is no repeat.
        is_reference: whether it is the base config, which samples are compared with.
        notes: what the sampler keeps with it.
        failures: how often it has failed and was tried again.
        node: the machine that it ran on last.
        unread: keys that were sampled for it and that it never read.
        end_order: its place in the order in which trials ended; kept while it runs again.
        has_begun: whether a worker has begun to train it.
    """

    number: int
    id: str
    params: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    state: State = State.RUNNING
    rows: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    seconds: float = 0.0
    last_seen: float = 0.0
    donor: Donor | None = None
    confirms: int | None = None
    is_reference: bool = False
    notes: dict[str, Any] = field(default_factory=dict)
    failures: int = 0
    node: str = ""
    unread: tuple[str, ...] = ()
    end_order: int = -1
    has_begun: bool = False

    def add(self, row: dict[str, Any]) -> bool:
        """Adds the metrics of an epoch, and returns whether they take the place of others: it was trained again."""
        known = len(self.rows)
        while self.rows and self.rows[-1]["epoch"] >= row["epoch"]:  # their checkpoint was lost
            self.rows.pop()
        self.rows.append(row)
        return len(self.rows) <= known

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

    @property
    def role(self) -> str:
        """What it is beside a sample, in brackets; of a sample nothing."""
        if self.confirms is not None:
            return f"(again {self.confirms})"
        return "(the base config)" if self.is_reference else ""

    def params_at(self, epoch: int) -> dict[str, Any]:
        """What it had in an epoch, which may be from a trial whose weights it has taken over since: see LINEAGE."""
        for segment in segments_of(self.settings):
            if segment.first <= epoch <= segment.last:
                return {key: segment.settings.get(key, value) for key, value in self.params.items()}
        return self.params

    def best(self, metric: str) -> dict[str, Any] | None:
        """The metrics of the trial's best epoch, None if it has no epoch."""
        return best_row(metric, self.rows) if self.rows else None


class History:
    """All trials of a search, as its events tell.

    Args:
        events: of a search that is resumed.

    Attributes:
        events: all so far.
        trials: by number.
        data_digest: of the data that all trials train on; None: it depends on the trial.
        code: checksums of USER_MODULES, as they were when the search was started, or resumed, last.
        version: of the format in which the last start was written; None: there is none.
        ends: how often a trial has ended.
        number_of_samples: trials that were sampled.
    """

    def __init__(self, events: Iterable[Event] = ()):
        self.events: list[Event] = []
        self.trials: dict[int, TrialRecord] = {}
        self.data_digest: str | None = None
        self.code: dict[str, str] = {}
        self.version: int | None = None
        self.ends = 0
        self.number_of_samples = 0
        self._running: dict[int, TrialRecord] = {}  # by number, in the order in which they started
        self._interrupted: dict[int, TrialRecord] = {}  # by number, in the order in which they are to be resumed
        self._ended: dict[int, TrialRecord] = {}  # by number, in the order in which they ended
        self._bests: dict[tuple[str, bool], TrialRecord | None] = {}  # by metric, with the reference or without
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Takes note of an event."""
        self.events.append(event)
        match event:
            case SearchStarted() | SearchEnded():
                self.interrupt_all()  # a search that was killed has not said that it ended
                if isinstance(event, SearchStarted):
                    self.version = event.version
                    self.data_digest = self.data_digest or event.data_digest
                    self.code = event.code
            case TrialStarted():
                self._start(event)
            case WorkerReady():
                self.trials[event.trial].last_seen, self.trials[event.trial].has_begun = event.time, True
            case EpochReported():
                record = self.trials[event.trial]
                record.has_begun = True
                _count_seconds(record, event.time)
                record.node = event.node or record.node
                if record.add(event.metrics):
                    self._bests.clear()
                self._update_bests(record)
            case TrialEnded():
                self._end(event)

    def interrupt_all(self) -> None:
        """Takes note that no trial runs any more: the search has ended, or was killed."""
        for record in self._running.values():
            record.state = State.INTERRUPTED
        self._interrupted = dict(sorted((self._interrupted | self._running).items()))
        self._running.clear()

    def _start(self, event: TrialStarted) -> None:
        number = event.trial
        record = self.trials.get(number)
        if record is None:
            record = self.trials[number] = TrialRecord(
                number,
                event.id,
                event.params,
                event.settings,
                confirms=event.confirms,
                is_reference=event.is_reference,
                notes=event.notes,
            )
            self.number_of_samples += record.is_sample
        if event.donor and event.donor != record.donor:
            record.rows = self.trials[event.donor.number].rows[: event.donor.epoch]
            self._bests.clear()
            record.params, record.settings, record.donor = event.params, event.settings, event.donor
        record.state, record.last_seen = State.RUNNING, event.time
        for of_state in (self._interrupted, self._ended):
            of_state.pop(number, None)
        self._running[number] = record

    def _end(self, event: TrialEnded) -> None:
        number = event.trial
        record = self.trials[number]
        _count_seconds(record, event.time)
        record.node = event.node or record.node
        record.state, record.reason = event.state, event.reason
        if event.state == State.FAILED:  # it counts no more
            self._bests.clear()
        self._running.pop(number, None)
        if event.state not in ENDED:  # it is resumed; with a reason it is tried again
            record.failures += bool(event.reason)
            self._ended.pop(number, None)
            self._interrupted[number] = record
            return
        record.unread = event.unread
        self._interrupted.pop(number, None)
        if number not in self._ended:
            record.end_order, self.ends = self.ends, self.ends + 1
            self._ended[number] = record

    def running(self) -> list[TrialRecord]:
        """Returns the trials that run, in the order in which they started."""
        return [*self._running.values()]

    def interrupted(self) -> list[TrialRecord]:
        """Returns the trials that were interrupted, in the order in which they are to be resumed."""
        return [*self._interrupted.values()]

    def by_end(self) -> list[TrialRecord]:
        """Returns the trials that have ended, in the order in which they did."""
        return [*self._ended.values()]

    def samples(self) -> list[TrialRecord]:
        """Returns the trials that were sampled, by number: neither repeats nor the reference."""
        return [record for _, record in sorted(self.trials.items()) if record.is_sample]

    def reference(self) -> TrialRecord | None:
        """Returns the trial of the base config, None if there is none."""
        return next((record for record in self.trials.values() if record.is_reference), None)

    def candidates(self) -> list[TrialRecord]:
        """Returns the trials that may be the best of the search: samples and the reference, by number."""
        return [record for _, record in sorted(self.trials.items()) if record.confirms is None]

    def in_state(self, *states: State) -> list[TrialRecord]:
        """Returns the trials in any of some states, by number."""
        return [record for _, record in sorted(self.trials.items()) if record.state in states]

    def best_trial(self, metric: str) -> TrialRecord | None:
        """Returns the trial with the best epoch of all, repeats left out; see `best_records`."""
        return self._best(metric, with_reference=True)

    def best_sample(self, metric: str) -> TrialRecord | None:
        """Returns the sample with the best epoch of all; see `best_records`."""
        return self._best(metric, with_reference=False)

    def _best(self, metric: str, with_reference: bool) -> TrialRecord | None:
        """Returns the best trial. It is asked for often, and looked for where the last answer may not hold any more."""
        key = metric, with_reference
        if key not in self._bests:
            self._bests[key] = next(
                iter(best_records(self.candidates() if with_reference else self.samples(), metric)), None
            )
        return self._bests[key]

    def _update_bests(self, record: TrialRecord) -> None:
        """Compares a trial that has trained an epoch with the best ones so far."""
        for (metric, with_reference), best in self._bests.items():
            if record.is_sample or (with_reference and record.is_reference):
                pair = [record] if best is None or best is record else [best, record]
                self._bests[metric, with_reference] = next(iter(best_records(pair, metric)), best)


def _count_seconds(record: TrialRecord, now: float) -> None:
    """Adds the time since its last event to the seconds of a trial that runs."""
    if record.state == State.RUNNING:
        record.seconds += now - record.last_seen
        record.last_seen = now


def with_result(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Returns the trials that have a result and did not fail."""
    return [record for record in records if record.rows and record.state != State.FAILED]


def best_records(records: Sequence[TrialRecord], metric: str) -> list[TrialRecord]:
    """Returns the trials that have a result and did not fail, the best first.

    Of equals the reference comes first, then the earliest.
    """

    def rank(record: TrialRecord) -> tuple[float, bool, int]:
        best = record.best(metric)
        assert best is not None  # it has rows
        return -sign(metric) * best[metric], not record.is_reference, record.number

    return sorted(with_result(records), key=rank)
