"""The one place that decides: which trial comes next, what becomes of one that reports or ends, when a search ends.

Whoever runs trials asks it and tells it: Ray Tune through the adapters in search/trials, the benchmark of search
quality and the tests directly. Each decision is made from the history, and written as an event before it is acted on.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from configs.errors import explained
from configs.lineage import LINEAGE
from search.engine.extra_trials import next_to_repeat, reference_start, repeat_start, sample_id
from search.engine.proposals import Proposals
from search.engine.schedulers.scheduler import CONTINUE, Answer, Decision, Takeover, build_scheduler
from search.engine.stopping import Stopping
from search.record.events import (
    Donor,
    EpochReported,
    Event,
    Promotion,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialPromoted,
    TrialStarted,
    WorkerReady,
)
from search.record.history import History, TrialRecord
from search.record.lineage import Segment, segments_of
from search.record.outcomes import CAN_BE_STOPPED, ENDED, Outcome, State
from search.space.items import TOTAL_EPOCHS
from search.space.options import SearchOptions, scheduling_of
from search.space.space import Space

Record = Callable[[Event], None]  # writes an event, and lets the history take it in

_STATES_AFTER = {
    Decision.CONTINUE: State.INTERRUPTED,  # of a search that is resumed
    Decision.WAIT: State.WAITING,
    Decision.STOP: State.STOPPED,
}


class Controller:
    """Decides what happens in a search.

    Args:
        space: what is sampled.
        options: how to search.
        total_epochs: of a full training, where a trial does not set it.
        events: of a search that is resumed.
        start: values, by name of the parameter, of the first samples.
        earlier: how events were searched that do not say it, which those of version 2 did not; None: as now.

    Attributes:
        history: of the search.
        stopping: whether it ends, and why.
        proposals: makes samples.
        scheduler: decides on the epochs of samples.
        is_exhausted: whether there is nothing new to sample.
    """

    def __init__(
        self,
        space: Space,
        options: SearchOptions,
        total_epochs: int,
        events: Iterable[Event] = (),
        start: Sequence[Mapping[str, Any]] = (),
        earlier: SearchOptions | None = None,
    ):
        self._space = space
        self._options = options
        self._total_epochs = total_epochs
        self._start = start
        self._earlier = earlier or options
        self._slots = 0
        self.history = History()
        self._record_event: Record = self.history.add
        self.is_exhausted = False
        self._was_decided = False
        self.scheduler = build_scheduler(options, space, total_epochs)
        self._scheduling: dict[str, Any] | None = None  # what the scheduler of the events so far was made of
        self._answers: dict[int, Answer] = {}  # to the last report of each trial, until it is acted on
        for event in map(self._as_now, events):
            self.history.add(event)
            self._take_in(event)
        self.stopping = Stopping(options, self.history)
        self.proposals = Proposals(space, options)
        for record in self.history.trials.values():
            self.proposals.add_earlier(record)
        if (self._scheduling or scheduling_of(self._earlier.to_yaml())) != scheduling_of(options.to_yaml()):
            self._give_places()

    def begin(self, started: SearchStarted, slots: int, record: Record | None = None) -> None:
        """Starts the search, or resumes it; trials whose end got lost are ended.

        Args:
            started: what is to be written of it.
            slots: how many trials there is room for. Not more are handed out, so that each sample is made with all
                results that are there when it can start.
            record: writes events, and lets the history take them in; None: the history alone.

        Raises:
            OSError: the start could not be written.
        """
        self._slots = slots
        self._record_event = record or self.history.add
        if self.history.version == 2:
            self._upgrade()
        self._write(started)
        self.stopping.begin()
        for trial in self.history.in_state(State.INTERRUPTED, State.WAITING):
            decision = self._answers.pop(trial.number, CONTINUE).decision
            state = _STATES_AFTER[decision]
            if trial.state == State.INTERRUPTED and len(trial.rows) >= self._epochs_of(trial):
                state = State.DONE
            if state == State.DONE or (trial.is_sample and state != trial.state):
                self._record(TrialEnded(trial.number, state, unread=trial.unread))

    def _as_now(self, event: Event) -> Event:
        """Returns an event with what version 2 did not say: whether a trial that was stopped waits."""
        if self.history.version != 2 or not isinstance(event, TrialEnded) or event.state != State.STOPPED:
            return event
        waits = self._earlier.lets_wait(len(self.history.trials[event.trial].rows))
        return replace(event, state=State.WAITING) if waits else event

    def _upgrade(self) -> None:
        """Writes what a log of version 2 does not say: how it was searched, and which trials wait."""
        for trial in self.history.by_end():
            if trial.state == State.WAITING:
                self._write(TrialEnded(trial.number, State.WAITING, unread=trial.unread))
        self._write(SearchStarted(options=self._earlier.to_yaml(), code=self.history.code))

    def set_slots(self, slots: int) -> None:
        """Says anew how many trials there is room for."""
        self._slots = slots

    def next_trial(self) -> TrialRecord | None:
        """Hands out a trial that is to run now: one that was interrupted, one that is promoted, or a new one.

        None while there is no room, while one that runs has to end first, and when nothing is left to do.
        """
        if self.should_stop() or len(self.history.running()) >= self._slots:
            return None
        started = self._next_start()
        if started is None or not self._record(started):
            return None
        return self.history.trials[started.trial]

    def is_idle(self) -> bool:
        """Whether no trial runs: what `next_trial` has not handed out then never comes."""
        return not self.history.running()

    def has_more(self) -> bool:
        """Whether anything is left to run. Trials that run count as interrupted."""
        if self.history.in_state(State.RUNNING, State.INTERRUPTED):
            return True
        waiting = (self._answers.get(one.number) for one in self.history.in_state(State.WAITING))
        if any(answer and answer.decision == Decision.CONTINUE for answer in waiting):
            return True  # another scheduler lets it go on
        if not self._is_decided() and (self._needs_reference() or not self._is_full()):
            return True
        if not self._is_decided() and self.scheduler.next(is_full=True) is not None:
            return True
        return next_to_repeat(self.history, self._options, self._space) is not None

    def worker_ready(self, number: int) -> None:
        """Takes note that the process that trains a trial has begun."""
        self._record(WorkerReady(number))

    def report(
        self,
        number: int,
        metrics: dict[str, Any],
        pid: int = 0,
        node: str = "",
        seconds: Mapping[str, float] | None = None,
        unread: Sequence[str] = (),
    ) -> Decision:
        """Takes an epoch of a trial, and returns what becomes of it.

        After anything but CONTINUE the trial has ended, and may be handed out again.

        Args:
            number: of the trial.
            metrics: of the epoch.
            pid: of the worker process.
            node: the machine.
            seconds: see EpochReported.
            unread: keys that were sampled for the trial and that it has not read so far.
        """
        record = self.history.trials[number]
        if record.state != State.RUNNING:
            return Decision.STOP
        self._record(EpochReported(number, metrics, pid, node, dict(seconds or {})))
        answer = self._answers.pop(number, CONTINUE)
        if answer.promotion is not None:
            self._record(TrialPromoted(number, answer.promotion))
        if answer.decision == Decision.CONTINUE or metrics["epoch"] >= self._epochs_of(record):
            return Decision.CONTINUE  # in its last epoch, it ends by itself
        self._record(TrialEnded(number, _STATES_AFTER[answer.decision], unread=tuple(unread)))
        return answer.decision

    def end(
        self,
        number: int,
        outcome: Outcome,
        reason: str = "",
        node: str = "",
        unread: Sequence[str] = (),
        log: str = "",
    ) -> None:
        """Takes the end of a trial that has not been stopped by `report`.

        Args:
            number: of the trial.
            outcome: how it has ended.
            reason: why it has failed.
            node: the machine, if it is known.
            unread: keys that were sampled for it and that it never read.
            log: of the trial, where people find more.
        """
        record = self.history.trials[number]
        if record.state not in (CAN_BE_STOPPED if outcome == Outcome.STOPPED_BY_USER else (State.RUNNING,)):
            return
        state = self._state_after_end(record, outcome)
        if state == State.DONE:
            reason = ""
        elif outcome == Outcome.FINISHED:
            reason = "it ended before its last epoch, and did not say why"
        self._record(TrialEnded(number, state, reason, node, tuple(unread)))
        if outcome == Outcome.BLOCKS_SEARCH:
            self.stopping.halt(f"{reason} (log: {log})")

    def _state_after_end(self, record: TrialRecord, outcome: Outcome) -> State:
        has_all = len(record.rows) >= self._epochs_of(record)
        match outcome:
            case Outcome.FINISHED:
                return State.DONE if has_all else State.FAILED
            case Outcome.EXTERNAL_FAILURE if has_all:  # after its last report: nothing is left to train
                return State.DONE
            case Outcome.STOPPED_BY_USER:
                return State.STOPPED_BY_USER
            case Outcome.FAILED:
                return State.FAILED
            case Outcome.EXTERNAL_FAILURE if record.failures >= self._options.max_failures:
                return State.FAILED
        return State.INTERRUPTED  # it is tried again: at once, or when the search is resumed

    def should_stop(self) -> bool:
        """Whether all trials end now."""
        return self.stopping.is_final() or (self._is_decided() and not self._options.repeats)

    def finish(self) -> str:
        """Ends the search, and returns why it has come to its end."""
        reason = self._end_reason()
        try:  # also where the disk was full before: it may have room again
            self._record_event(SearchEnded(reason=reason, is_exhausted=self.is_exhausted))
        except OSError as error:
            self.stopping.halt(explained(error))
        return reason

    def _end_reason(self) -> str:
        if self.stopping.is_requested:
            return "interrupted"
        samples = self.history.number_of_samples
        if not self._is_full() or self.has_more():
            return self.stopping.reason() or "finished"
        if not self.is_exhausted:
            return "finished"
        if self._space.size is None:
            return f"no new sample that can be trained was found after {samples}"
        return f"all {samples} combinations were tried"

    def _record(self, event: Event) -> bool:
        """Writes an event, and returns whether it is kept; one that is not halts the search.

        After one that cannot be kept no other is, so that what is kept has no gaps.
        """
        if self.stopping.halted:
            return False
        try:
            self._write(event)
        except OSError as error:
            self.stopping.halt(explained(error))
            return False
        return True

    def _write(self, event: Event) -> None:
        """Writes an event and tells the scheduler.

        Raises:
            OSError: it could not be written.
        """
        self._record_event(event)
        self._take_in(event)

    def _take_in(self, event: Event) -> None:
        """Tells the scheduler of an event that the history has, now or when a search is resumed; samples alone."""
        match event:
            case SearchStarted() if (scheduling := scheduling_of(event.options)) is not None:
                is_change = self._scheduling not in (None, scheduling)
                self._scheduling = scheduling
                if is_change:
                    self._give_places()
            case TrialStarted() if self.history.trials[event.trial].is_sample:
                self._answers.pop(event.trial, None)
                self.scheduler.start(event)
            case EpochReported() if self.history.trials[event.trial].is_sample:
                self._answers[event.trial] = self.scheduler.reach(event.trial, event.metrics)
            case TrialEnded() if self.history.trials[event.trial].is_sample and event.state != State.INTERRUPTED:
                self.scheduler.end(event.trial, event.state)

    def _give_places(self) -> None:
        """Tells a new scheduler what trials have reached under another one.

        Those that have ended count as they are. One that waited takes its place at a rung, or goes on.
        """
        self.scheduler = build_scheduler(self._options, self._space, self._total_epochs)
        self._answers.clear()
        for trial in self.history.trials.values():
            if not trial.is_sample:
                continue
            self.scheduler.start(_again(trial))
            for row in trial.rows:
                self._answers[trial.number] = self.scheduler.reach(trial.number, row)
            if trial.state in ENDED and trial.state != State.WAITING:
                self.scheduler.end(trial.number, trial.state)

    def _next_start(self) -> TrialStarted | None:
        """Returns the start of the next trial, None if there is none now."""
        interrupted = self.history.interrupted()
        if interrupted:
            return _again(interrupted[0])
        if self._is_decided():
            return self._next_repeat()
        if self._needs_reference():
            return self._next_reference()
        promoted = self.scheduler.next(self._is_full())
        if promoted is not None:
            return self._promoted(promoted)
        if not self._is_full():
            started = self._next_sample()
            if started is not None:
                return started
            self.is_exhausted = True
        return self._next_repeat()

    def _is_decided(self) -> bool:
        """Whether target or patience are reached, or were: then no more samples are made, and none is promoted."""
        self._was_decided = self._was_decided or self.stopping.is_decided()
        return self._was_decided

    def _needs_reference(self) -> bool:
        return self._options.reference and self.history.reference() is None

    def _next_reference(self) -> TrialStarted:
        # Behind the samples, whose numbers decide what is sampled.
        first = min(self._options.num_samples, self._space.size or self._options.num_samples)
        started = reference_start(self._free_number(first), self._space)
        self.proposals.add_reference(TrialRecord(started.trial, started.id, started.params, started.settings))
        return started

    def _promoted(self, number: int) -> TrialStarted:
        """Returns the start of a trial that goes on: as it was, or with weights of another and values of its own."""
        record = self.history.trials[number]
        why = self.scheduler.leave(number)
        if isinstance(why, Promotion):
            self._record(TrialPromoted(number, why))
        return self._taken_over(record, why) if isinstance(why, Takeover) else _again(record)

    def _taken_over(self, record: TrialRecord, takeover: Takeover) -> TrialStarted:
        donor = self.history.trials[takeover.donor]
        point = self._space.point_of(takeover.values)
        earlier = [segment for segment in segments_of(donor.settings) if segment.last <= takeover.epoch]
        first = earlier[-1].last + 1 if earlier else 1
        values = {key: donor.settings[key] for key in point.settings}
        lineage = [*earlier, Segment(donor.number, first, takeover.epoch, values)]
        return TrialStarted(
            record.number,
            record.id,
            point.params,
            {**point.settings, LINEAGE: [segment.to_setting() for segment in lineage]},
            record.notes,
            Donor(donor.number, donor.name, takeover.epoch),
        )

    def _next_sample(self) -> TrialStarted | None:
        number = self._free_number()
        # Which sample it is: neither reference nor repeats, whose numbers may be lower, change what is drawn.
        index = number - sum(not one.is_sample and one.number < number for one in self.history.trials.values())
        given = self._start[index] if index < len(self._start) else None
        sample = self.proposals.sample(index, self.known_trials(), given)
        if sample is None:
            return None
        point = sample.point
        self.proposals.add(number, point)
        return TrialStarted(number, sample_id(point.params), point.params, point.settings, sample.notes)

    def _next_repeat(self) -> TrialStarted | None:
        """Returns the start of one of the best trials, again with another seed."""
        todo = next_to_repeat(self.history, self._options, self._space)
        return None if todo is None else repeat_start(self._free_number(), *todo)

    def known_trials(self) -> list[TrialRecord]:
        """Returns the trials that a sampler learns from: those that have ended, in that order, then those that run.

        One that a user stopped tells it nothing: neither is it known how good it would have been, nor did it fail.
        """
        known = [*self.history.by_end(), *self.history.running()]
        return [record for record in known if record.state != State.STOPPED_BY_USER]

    def _is_full(self) -> bool:
        return self.is_exhausted or self.history.number_of_samples >= self._options.num_samples

    def _free_number(self, first: int = 0) -> int:
        """Returns the first number that no trial has, counted from `first`."""
        return next(number for number in count(first) if number not in self.history.trials)

    def _epochs_of(self, record: TrialRecord) -> int:
        return int(record.settings.get(TOTAL_EPOCHS, self._total_epochs))


def _again(record: TrialRecord) -> TrialStarted:
    """Returns the start of a trial that goes on as it was."""
    return TrialStarted(
        record.number,
        record.id,
        record.params,
        record.settings,
        record.notes,
        record.donor,
        record.confirms,
        record.is_reference,
    )
