"""Lets Ray Tune run the trials of a search."""

import logging
import os
import tempfile
import traceback
from contextlib import suppress
from typing import Any

from ray import tune

from configs.errors import one_line
from configs.files import shown_path, write_atomically
from search.engine.controller import Controller
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.record.history import trial_name
from search.record.recorder import Recorder
from search.requests import Requests
from search.trials.cluster import Machines, placed
from search.trials.node_watch import NodeWatch
from search.trials.ray_callback import ControllerCallback
from search.trials.ray_scheduler import ControllerScheduler
from search.trials.ray_searcher import ControllerSearcher
from search.trials.ray_stopper import ControllerStopper, stopped_by_signals
from search.trials.stop_requests import StopRequests


def run_trials(
    controller: Controller,
    plan: SearchPlan,
    folder: SearchFolder,
    machines: Machines,
    recorder: Recorder,
    data_digest: str | None = None,
) -> None:
    """Runs the trials that the controller hands out, until there are no more or it says that the search ends.

    Args:
        controller: of the search, which has begun.
        plan: what is searched.
        folder: where everything goes.
        machines: on which they run.
        recorder: of the search.
        data_digest: of the data that all trials must find; None: it depends on the sample.
    """
    stopper = ControllerStopper(controller, recorder.say)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failed trials are told by our own events
    with (
        tempfile.TemporaryDirectory(prefix="yacstune-", ignore_cleanup_errors=True) as ray_storage,
        stopped_by_signals(controller),
    ):
        tuner = tune.Tuner(
            _trainable(plan, folder, machines, data_digest),
            tune_config=tune.TuneConfig(
                search_alg=ControllerSearcher(controller),
                scheduler=ControllerScheduler(controller, StopRequests(Requests(folder.path), controller)),
                num_samples=-1,  # the searcher says when it has finished
                reuse_actors=True,
                trial_name_creator=_trial_name,
                trial_dirname_creator=_trial_name,
            ),
            run_config=tune.RunConfig(
                name=folder.path.name,
                storage_path=ray_storage,
                stop=stopper,
                callbacks=_callbacks(controller, folder, machines, recorder),
                verbose=0,
            ),
        )
        try:
            tuner.fit()
            stopper.tell()  # of a request that came after Ray had asked for the last time
        except KeyboardInterrupt:  # at once
            controller.stopping.is_requested = True
        except Exception as error:  # of Ray, or a mistake of ours: what was trained is kept all the same
            with suppress(OSError):
                write_atomically(folder.error_log, traceback.format_exc())
            reason = one_line(f"{type(error).__name__}: {error}")
            controller.stopping.halt(f"{reason} (see {shown_path(folder.error_log)})")


def _trainable(plan: SearchPlan, folder: SearchFolder, machines: Machines, data_digest: str | None) -> Any:
    """Returns what Ray runs for each trial, with the resources that it takes."""

    def run_in_worker(config: dict[str, Any], **parameters: Any) -> None:
        # A function in a function travels by value: a worker imports nothing of ours before yacstune, which makes
        # the names of our packages ours, whatever lies in the working folder.
        import yacstune  # noqa: F401
        from search.trials.trial import TrialSetup, run_trial

        run_trial(config, TrialSetup(**parameters))

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
    return tune.with_resources(trainable, placement if checks else placed(machines.resources))


def _callbacks(
    controller: Controller, folder: SearchFolder, machines: Machines, recorder: Recorder
) -> list[tune.Callback]:
    checks = machines.checks
    callbacks: list[tune.Callback] = [
        ControllerCallback(controller, folder, recorder.tick, is_cluster=checks is not None)
    ]
    if checks:
        callbacks.append(NodeWatch(checks, machines.resources, controller.set_slots, recorder.say))
    return callbacks


def _trial_name(trial: Any) -> str:
    return trial_name(trial.config["number"], trial.config["id"])
