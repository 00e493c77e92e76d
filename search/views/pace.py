"""How much of a search is left, and how long that takes, by what has been measured."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from search.plan import SearchPlan
from search.record.events import (
    EpochReported,
    Event,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialPromoted,
    TrialStarted,
    WorkerReady,
)
from search.record.history import History, TrialRecord
from search.record.outcomes import ENDED, State


class Pace:
    """Measures how long an epoch of a search takes, with its evaluation and checkpoint, and what workers wait for.

    The first epoch of each worker process is left out, and what the process took to start: it imports everything.

    Attributes:
        slots: how many trials run at a time.
        begun: when the search was started, or resumed, in seconds since 1970.
        wholes: numbers of the trials that go past all rungs, as the first of their kind.
    """

    def __init__(self) -> None:
        self.slots = 1
        self.begun = 0.0
        self.wholes: set[int] = set()
        self._seconds = 0.0
        self._epochs = 0
        self._processes: set[tuple[str, int]] = set()  # that have trained an epoch, by node and pid
        self._since: dict[int, float] = {}  # when a running trial was last heard of, by its number
        self._starting: set[int] = set()
        self._waited: dict[int, float] = {}  # for its worker, by number of a trial

    def add(self, event: Event) -> None:
        """Takes note of an event."""
        match event:
            case SearchStarted() | SearchEnded():
                self._since.clear()
                self._starting.clear()
                if isinstance(event, SearchStarted):
                    self.begun = event.time
                    self.slots = int(event.resources.get("slots", 0)) or self.slots
            case TrialStarted():
                self._since[event.trial] = event.time
                self._starting.add(event.trial)
            case WorkerReady():
                self._starting.discard(event.trial)
                self._waited[event.trial] = event.time - self._since.get(event.trial, event.time)
                self._since[event.trial] = event.time
            case EpochReported():
                self._count(event)
            case TrialEnded():
                self._since.pop(event.trial, None)
                self._starting.discard(event.trial)
            case TrialPromoted() if event.promotion.is_whole:
                self.wholes.add(event.trial)

    def _count(self, event: EpochReported) -> None:
        since, waited = self._since.get(event.trial), self._waited.pop(event.trial, 0.0)
        process = event.node, event.pid
        if since is not None and process in self._processes:
            self._seconds += event.time - since + waited
            self._epochs += 1
        self._processes.add(process)
        self._since[event.trial] = event.time

    def is_starting(self, number: int) -> bool:
        """Whether a trial waits for its worker process."""
        return number in self._starting

    @property
    def seconds_per_epoch(self) -> float | None:
        """Of a trial; None before as many epochs were trained as trials run at a time."""
        return self._seconds / self._epochs if self._epochs >= self.slots else None

    def part_of_epoch(self, number: int, now: float) -> float:
        """Returns how much of its epoch a running trial should have trained by now, from 0 to 1."""
        if not self.seconds_per_epoch or number in self._starting or number not in self._since:
            return 0.0
        return min(1.0, max(0.0, (now - self._since[number]) / self.seconds_per_epoch))


@dataclass(frozen=True)
class Left:
    """What is left of a search.

    Attributes:
        done: epochs that were trained.
        epochs: expected to be trained yet, by what rungs have let through so far.
        seconds: that this takes; None: not known yet.
        is_budget: whether the search ends before, by its time budget.
    """

    done: int
    epochs: float
    seconds: float | None
    is_budget: bool = False


def what_is_left(plan: SearchPlan, history: History, pace: Pace, rungs: Collection[int], now: float) -> Left:
    """Returns what is left of a search.

    Args:
        plan: of the search.
        history: of the search.
        pace: given all events of the history.
        rungs: the epochs at which trials wait or are stopped.
        now: seconds since 1970.
    """
    course = _Course(plan, history, pace.wholes, rungs)
    chains = {one.number: course.epochs_of(one) for one in history.running() + history.interrupted() if one.is_sample}
    of_search = course.epochs_left()
    base = history.reference()
    if plan.options.reference and (base is None or base.state not in ENDED):
        of_base = plan.total_epochs({}) - (len(base.rows) if base else 0)
        chains[base.number if base else -1] = of_base
        of_search += of_base
    # what the running ones have trained of their epoch
    begun = sum(pace.part_of_epoch(record.number, now) for record in history.running())
    longest = max((epochs - pace.part_of_epoch(number, now) for number, epochs in chains.items()), default=0.0)
    repeats, of_repeats = _repeats_left(plan, history)
    done = sum(len(record.rows) for record in history.trials.values())
    epochs = max(0.0, of_search - begun) + of_repeats
    seconds = None
    if pace.seconds_per_epoch is not None:
        # Neither is a trial shared by slots, nor do repeats begin before everything else has ended.
        rounds = max((of_search - begun) / pace.slots, longest) + of_repeats / max(1, min(repeats, pace.slots))
        seconds = max(0.0, rounds * pace.seconds_per_epoch)
    budget = plan.options.time_budget
    if budget and (seconds is None or pace.begun + budget - now < seconds):
        return Left(done, epochs, max(0.0, pace.begun + budget - now), is_budget=True)
    return Left(done, epochs, seconds)


def _repeats_left(plan: SearchPlan, history: History) -> tuple[int, int]:
    """Returns how many repeats of the best have not ended, and the epochs that they train yet."""
    made = [record for record in history.trials.values() if record.confirms is not None]
    to_come = max(0, plan.options.number_of_repeats - len(made))
    going = [record for record in made if record.state not in ENDED]
    of_going = sum(plan.total_epochs(record.settings) - len(record.rows) for record in going)
    return to_come + len(going), to_come * plan.total_epochs({}) + of_going


class _Course:
    """How far samples train: how many of them will have trained each epoch when the search ends.

    Of those that reach an epoch, as large a share trains on as has so far. At a rung, one in `reduction_factor` does at
    least, and counts as if it had been seen once.
    """

    def __init__(self, plan: SearchPlan, history: History, wholes: Collection[int], rungs: Collection[int]):
        self._plan, self._wholes = plan, wholes
        self._samples = history.samples()
        to_come = max(0, plan.options.samples_of(plan.space.size) - len(self._samples))
        compared = [record for record in self._samples if record.number not in wholes]
        totals = [plan.total_epochs(record.settings) for record in self._samples] or [plan.total_epochs({})]
        is_population = plan.options.scheduler_spec.is_population
        factor = plan.options.scheduler_options.get("reduction_factor", 1.0)
        longest = max(totals)
        reached, passed = [0] * (longest + 1), [0] * (longest + 1)
        for record in compared:
            trained = len(record.rows)
            goes_on = is_population or record.state in (State.RUNNING, State.INTERRUPTED)
            for epoch in range(1, min(trained, longest) + 1):
                reached[epoch] += 1
                passed[epoch] += epoch < trained or goes_on
        # how many train the first epoch, the second ... in the end
        self._train: list[float] = [len(compared) + to_come]
        for epoch in range(1, round(sum(totals) / len(totals))):
            seen = (passed[epoch], reached[epoch])
            at_least = 0.0
            if epoch in rungs:
                seen = (seen[0] + 1, seen[1] + factor)
                at_least = math.ceil(self._train[-1] / factor)
            share = seen[0] / seen[1] if seen[1] else 1.0
            self._train.append(min(self._train[-1], max(self._train[-1] * share, passed[epoch], at_least)))

    def epochs_left(self) -> float:
        """Returns how many epochs samples train yet."""
        left = sum(self._train)
        for record in self._samples:
            left += self.epochs_of(record) if record.number in self._wholes else -len(record.rows)
        return max(0.0, left)

    def epochs_of(self, record: TrialRecord) -> float:
        """Returns how many epochs a sample that goes on is expected to train yet."""
        trained, total = len(record.rows), self._plan.total_epochs(record.settings)
        if record.number in self._wholes:
            return 0.0 if record.state in ENDED else max(0.0, total - trained)
        course = self._train[trained:total]
        return sum(course) / course[0] if course and course[0] else max(0.0, total - trained)
