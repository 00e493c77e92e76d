"""Keeps kinds of trials apart by a scheduler of its own for each: median, and asha's type: stopping."""

from collections.abc import Callable, Mapping
from typing import Any

from search.engine.schedulers.scheduler import Answer, KindOf, Scheduler
from search.record.events import TrialStarted
from search.record.outcomes import State


class EachKind(Scheduler):
    """Asks one scheduler for each kind.

    Args:
        build: makes it.
        kind_of: returns which kind a trial is.
    """

    def __init__(self, build: Callable[[], Scheduler], kind_of: KindOf):
        self._build, self._kind_of = build, kind_of
        self._by_kind: dict[str, Scheduler] = {}
        self._of: dict[int, Scheduler] = {}  # by trial

    def start(self, start: TrialStarted) -> None:
        kind = self._kind_of(start)
        if kind not in self._by_kind:
            self._by_kind[kind] = self._build()
        self._of[start.trial] = self._by_kind[kind]

    def reach(self, number: int, row: Mapping[str, Any]) -> Answer:
        return self._of[number].reach(number, row)

    def end(self, number: int, state: State) -> None:
        self._of[number].end(number, state)
