"""What decides in a search: which config comes next, and which trial goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

from ray.tune.schedulers import TrialScheduler

from search.events import Event
from search.history import History
from search.options import SearchOptions
from search.scheduler import PromotionASHA, StoppingASHA, build_scheduler
from search.searcher import TruthfulOptunaSearch
from search.space import Parameter


@dataclass(frozen=True)
class Engine:
    """Searcher and scheduler, as Ray Tune drives them.

    Attributes:
        searcher: suggests configs, and trials that may go on.
        scheduler: ends trials early, or lets them wait.
    """

    searcher: TruthfulOptunaSearch
    scheduler: TrialScheduler


def build_engine(
    parameters: dict[str, Parameter],
    options: SearchOptions,
    total_epochs: int,
    slots: int,
    history: History,
    events: Sequence[Event] = (),
) -> Engine:
    """Builds what a search decides with, in the state in which it was.

    Args:
        parameters: what is sampled, by key.
        options: how to search.
        total_epochs: epochs of a full training.
        slots: how many trials run at a time.
        history: of a search that is resumed; empty for a new one.
        events: that made the history.
    """
    scheduler = build_scheduler(options, total_epochs)
    if isinstance(scheduler, (PromotionASHA, StoppingASHA)):
        scheduler.replay(events)
    rungs = scheduler.rungs if isinstance(scheduler, PromotionASHA) else None
    return Engine(TruthfulOptunaSearch(parameters, options, history, slots, rungs), scheduler)
