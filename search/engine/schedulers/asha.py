"""ASHA: asynchronous successive halving, with trials that wait at rungs, or are stopped there for good."""

from search.engine.kinds import Kinds
from search.engine.schedulers.asha_stopping import StoppingRungs, powers
from search.engine.schedulers.each_kind import EachKind
from search.engine.schedulers.rungs import Rungs, rung_epochs
from search.engine.schedulers.scheduler import Scheduler, Setup
from search.engine.schedulers.waiting import WaitingScheduler


def build(setup: Setup) -> Scheduler:
    """Builds it."""
    options, last = setup.options, setup.last_epoch
    chosen, factor = options.scheduler_options, options.scheduler_options["reduction_factor"]
    if not options.has_rungs:
        epochs = chosen.get("rungs") or powers(chosen["grace_period"], factor, last)
        return EachKind(lambda: StoppingRungs(options.metric, options.mode, epochs, factor, last), setup.kind_of)
    kinds = Kinds(last, are_apart=bool(options.kinds))
    rungs = Rungs(options.metric, options.mode, rung_epochs(chosen, last), factor, kinds)
    return WaitingScheduler(rungs, kinds, setup)
