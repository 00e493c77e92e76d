"""Lets trials wait at rungs until they are promoted: asha and hyperband."""

from collections.abc import Mapping
from typing import Any

from search.engine.kinds import Kinds
from search.engine.schedulers.rungs import Brackets, Rungs
from search.engine.schedulers.scheduler import CONTINUE, STOP, WAIT, Answer, Decision, Scheduler, Setup
from search.record.events import Promotion, TrialStarted
from search.record.outcomes import State


class WaitingScheduler(Scheduler):
    """Lets every trial wait at each rung, and go on when it is among the best there.

    One that is among the best at once just goes on. Others end, and go on from their checkpoint when they are promoted.

    Args:
        ladder: where trials wait.
        kinds: of the trials, shared with the ladder.
        setup: of the search.
    """

    def __init__(self, ladder: Rungs | Brackets, kinds: Kinds, setup: Setup):
        self.rungs = tuple(ladder.epochs)
        self._ladder = ladder
        self._kinds = kinds
        self._setup = setup

    def start(self, start: TrialStarted) -> None:
        self._kinds.join(start.trial, self._setup.kind_of(start))
        self._ladder.leave(start.trial)

    def reach(self, number: int, row: Mapping[str, Any]) -> Answer:
        if not self._ladder.reach(number, row):
            return STOP if self._setup.last_epoch <= row["epoch"] < self._setup.total_epochs else CONTINUE
        if self._ladder.next() == number:
            return Answer(Decision.CONTINUE, self._ladder.leave(number))
        return WAIT

    def next(self, is_full: bool) -> int | None:
        return self._ladder.next(is_full)

    def leave(self, number: int) -> Promotion | None:
        return self._ladder.leave(number)

    def end(self, number: int, state: State) -> None:
        if state in (State.FAILED, State.STOPPED_BY_USER):
            self._ladder.fail(number)
        elif state != State.WAITING:
            self._ladder.withdraw(number)
