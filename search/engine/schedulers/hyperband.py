"""Asynchronous Hyperband: brackets of rungs that begin at different epochs."""

from search.engine.kinds import Kinds
from search.engine.schedulers.rungs import hyperband
from search.engine.schedulers.scheduler import Scheduler, Setup
from search.engine.schedulers.waiting import WaitingScheduler


def build(setup: Setup) -> Scheduler:
    """Builds it."""
    options, last = setup.options, setup.last_epoch
    grace, factor = (options.scheduler_options[name] for name in ("grace_period", "reduction_factor"))
    kinds = Kinds(last, are_apart=bool(options.kinds))
    return WaitingScheduler(hyperband(options.metric, options.mode, grace, factor, last, kinds), kinds, setup)
