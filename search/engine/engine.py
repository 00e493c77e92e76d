"""What decides in a search: which config comes next, and which trial goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from search.engine.scheduler import PopulationScheduler, Replayable, WaitingScheduler, build_scheduler
from search.engine.searcher import TruthfulOptunaSearch, Waiting
from search.record.events import Event
from search.record.history import History
from search.space.options import SearchOptions
from search.space.space import Space


@dataclass(frozen=True)
class Engine:
    """Searcher and scheduler, as Ray Tune drives them.

    Attributes:
        searcher: suggests configs, and trials that may go on.
        scheduler: ends trials early, or lets them wait.
    """

    searcher: TruthfulOptunaSearch
    scheduler: Replayable


def build_engine(
    space: Space,
    options: SearchOptions,
    total_epochs: int,
    slots: int,
    history: History,
    events: Sequence[Event] = (),
    start: Sequence[Mapping[str, Any]] = (),
) -> Engine:
    """Builds what a search decides with, in the state in which it was.

    Args:
        space: what is sampled.
        options: how to search.
        total_epochs: epochs of a full training.
        slots: how many trials run at a time.
        history: of a search that is resumed; empty for a new one.
        events: that made the history.
        start: values, by name of the parameter, of the first trials.
    """
    scheduler = build_scheduler(options, space, total_epochs)
    scheduler.replay(events)
    waiting: Waiting | None = None
    if isinstance(scheduler, WaitingScheduler):
        waiting = scheduler.rungs
    elif isinstance(scheduler, PopulationScheduler):
        waiting = scheduler.population
    return Engine(TruthfulOptunaSearch(space, options, history, slots, start, waiting), scheduler)
