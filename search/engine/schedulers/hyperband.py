"""Asynchronous Hyperband: brackets of rungs that begin at different epochs."""

from search.engine.kinds import Kinds
from search.engine.schedulers.rungs import hyperband, rung_epochs
from search.engine.schedulers.scheduler import Scheduler, Setup
from search.engine.schedulers.waiting import WaitingScheduler


def build(setup: Setup) -> Scheduler:
    """Builds it."""
    options, last = setup.options, setup.last_epoch
    epochs, factor = rung_epochs(options.scheduler_options, last), options.scheduler_options["reduction_factor"]
    kinds = Kinds(last, are_apart=bool(options.kinds))
    return WaitingScheduler(hyperband(options.metric, options.mode, epochs, factor, kinds), kinds, setup)
