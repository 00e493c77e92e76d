"""Lets Ray Tune run the trials of a plan."""

import logging
import os
import tempfile
import traceback
from contextlib import suppress
from typing import Any

from ray import tune

from configs.errors import explained
from configs.files import shown_path, write_atomically
from search.engine.engine import Engine, build_engine
from search.engine.scheduler import build_scheduler
from search.engine.searcher import TruthfulOptunaSearch
from search.engine.stopping import SearchStopper
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.record.events import SEARCH_ENDED, TRIAL_DONE, TRIAL_STOPPED, Event, EventStream
from search.record.history import INTERRUPTED, RUNNING, History, trial_name
from search.trials.callback import EventCallback, one_line
from search.trials.cluster import Machines, placed
from search.trials.node_watch import NodeWatch

HALTED, INTERRUPTED_STATUS = 2, 130  # exit statuses


def has_more(plan: SearchPlan, history: History, events: list[Event]) -> bool:
    """Whether anything is left to run of a search, by its history and the events that made it."""
    engine, stopper = _engine_and_stopper(plan, history, events, slots=1)
    return not stopper.stop_all() and engine.searcher.has_more()


def _engine_and_stopper(
    plan: SearchPlan, history: History, events: list[Event], slots: int
) -> tuple[Engine, SearchStopper]:
    total_epochs = plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
    engine = build_engine(plan.space, plan.options, total_epochs, slots, history, events, plan.start)
    return engine, SearchStopper(plan.options, history, engine.searcher.close)


def run_trials(
    plan: SearchPlan,
    folder: SearchFolder,
    history: History,
    events: list[Event],
    stream: EventStream,
    machines: Machines,
    data_digest: str | None = None,
) -> int | None:
    """Runs the trials that are still to be run.

    Args:
        plan: what to search.
        folder: where everything goes.
        history: of a search that is resumed; empty for a new one.
        events: that made the history.
        stream: gets the events.
        machines: on which they run.
        data_digest: of the data that all trials must find; None: it depends on the sample.

    Returns:
        The exit status of a search that has ended early, to be gone on with; None: it has come to its end.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failed trials are told by our own events
    events = [*events, *_settle(plan, history, events, stream)]
    engine, stopper = _engine_and_stopper(plan, history, events, machines.slots)
    if not stopper.stop_all() and engine.searcher.has_more():

        def run_in_worker(config: dict[str, Any], **parameters: Any) -> None:
            # A function in a function travels by value: a worker imports nothing of ours before yacstune, which makes
            # the names of our packages ours, whatever lies in the working folder.
            import yacstune  # noqa: F401
            from search.trials.trial import run_trial

            run_trial(config, **parameters)

        def placement(config: dict[str, Any]) -> tune.PlacementGroupFactory:  # as above
            import yacstune  # noqa: F401
            from search.trials.node_watch import placement_now

            return placement_now()

        checks = machines.checks
        trainable = tune.with_parameters(
            run_in_worker,
            base_cfg=plan.base_values(),
            trials_folder=str(folder.trials.absolute()),
            working_folder=os.getcwd(),
            timeout=plan.options.trial_timeout,
            data_digest=data_digest,
            memory=machines.memory,
            searched=[parameter.key for parameter in plan.space.parameters],
            secret_source=machines.secret_source,
            expected=checks.expected if checks else None,
        )
        callback = EventCallback(
            stream,
            history,
            folder,
            plan.options.max_failures,
            stopper.halt,
            engine.scheduler.promotion,
            is_cluster=checks is not None,
        )
        watch = [NodeWatch(checks, machines.resources, engine.searcher.set_slots)] if checks else []
        with (
            tempfile.TemporaryDirectory(prefix="yacstune-", ignore_cleanup_errors=True) as rays_own,
            stopper.listening(),
        ):
            tuner = tune.Tuner(
                tune.with_resources(trainable, placement if checks else placed(machines.resources)),
                tune_config=tune.TuneConfig(
                    search_alg=engine.searcher,
                    scheduler=engine.scheduler,
                    num_samples=-1,  # the searcher says when it has finished
                    reuse_actors=True,
                    trial_name_creator=_trial_name,
                    trial_dirname_creator=_trial_name,
                ),
                run_config=tune.RunConfig(
                    name=folder.path.name,
                    storage_path=rays_own,
                    stop=stopper,
                    callbacks=[callback, *watch],
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except KeyboardInterrupt:  # at once
                stopper.was_interrupted = True
            except Exception as error:  # of Ray, or a mistake of ours: what was trained is kept all the same
                with suppress(OSError):
                    write_atomically(folder.error_log, traceback.format_exc())
                stopper.halt(f"{one_line(f'{type(error).__name__}: {error}')} (see {shown_path(folder.error_log)})")
    reason = _end_reason(plan, history, engine.searcher, stopper)
    try:
        stream.emit(SEARCH_ENDED, reason=reason, is_exhausted=engine.searcher.is_exhausted)
    except OSError as error:  # the trials are kept all the same
        stopper.halt(explained(error))
        print(f"\n{reason}; but the results could not be written: {stopper.halted}", flush=True)
    if stopper.halted:
        return HALTED
    return INTERRUPTED_STATUS if stopper.was_interrupted else None


def _end_reason(plan: SearchPlan, history: History, searcher: TruthfulOptunaSearch, stopper: SearchStopper) -> str:
    if stopper.was_interrupted:
        return "interrupted"
    samples = len(history.samples())  # those that were started
    is_complete = searcher.is_exhausted or samples >= plan.options.num_samples
    if not is_complete or history.in_state(RUNNING, INTERRUPTED) or searcher.has_more():
        return stopper.reason() or "finished"
    if not searcher.is_exhausted:
        return "finished"
    if plan.space.size is None:
        return f"no new sample that can be trained was found after {samples}"
    return f"all {samples} combinations were tried"


def _settle(plan: SearchPlan, history: History, events: list[Event], stream: EventStream) -> list[Event]:
    """Ends trials whose last report is known, but whose end is not: the search died between the two."""
    settled = []
    scheduler = build_scheduler(plan.options, plan.space, plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS)
    stopped = scheduler.replay(events)
    for record in history.in_state(RUNNING, INTERRUPTED):
        if len(record.rows) >= plan.total_epochs(record.settings):
            settled.append(stream.emit(TRIAL_DONE, record.number))
        elif record.number in stopped:
            settled.append(stream.emit(TRIAL_STOPPED, record.number))
    return settled


def _trial_name(trial: Any) -> str:
    return trial_name(trial.config["number"], trial.config["id"])
