"""Starts Ray and lets Ray Tune run the trials of a plan."""

import logging
import os
import signal
import socket
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
import torch
from ray import tune

from configs.defaults import KEYS
from configs.errors import ConfigError, explained
from configs.files import shown_path, write_atomically
from configs.tree import get_value
from search.callback import EventCallback, one_line
from search.engine import build_engine
from search.events import SEARCH_ENDED, TRIAL_DONE, TRIAL_STOPPED, Event, EventStream
from search.folder import SearchFolder
from search.history import INTERRUPTED, RUNNING, History, trial_name
from search.options import SearchOptions
from search.plan import SearchPlan
from search.scheduler import build_scheduler
from search.searcher import TruthfulOptunaSearch
from search.signals import take_sigterm_as_ctrl_c, without_sigterm
from search.stopping import failing_alike, stop_reason
from search.trial import run_trial

HALTED, INTERRUPTED_STATUS = 2, 130  # exit statuses

REACHABLE_TIMEOUT = 5.0  # seconds


class SearchStopper(tune.Stopper):
    """Ends a search when its time is over or when people interrupt it.

    Args:
        options: its time budget counts from now; its target and its patience.
        history: of the search, as it goes on.
        close: called when target or patience are reached and the best are still to be confirmed.
    """

    def __init__(self, options: SearchOptions, history: History, close: Callable[[], None] = lambda: None):
        self._deadline = time.monotonic() + options.time_budget if options.time_budget else None
        self._options = options
        self._history = history
        self._close = close
        self.was_interrupted = False
        self.halted: str | None = None  # why no trial can go on

    def halt(self, reason: str) -> None:
        """Ends the search, since no trial can go on."""
        self.halted = reason

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stops a single trial; that is the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials end now."""
        if self.was_interrupted or self._final_reason():
            return True
        if not stop_reason(self._options, self._history):
            return False
        if self._options.confirm:
            self._close()
            return False
        return True

    def reason(self) -> str | None:
        """Why the search has come to its end before all trials are made; None: it has not."""
        return self._final_reason() or stop_reason(self._options, self._history)

    def _final_reason(self) -> str | None:
        """Why nothing more is to be done, not even repeats."""
        if self.halted:
            return f"stopped, since no trial can go on: {self.halted}"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "time budget used up"
        return failing_alike(self._history)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the first Ctrl-C or SIGTERM as a wish to end kindly; the second ends at once."""

        def on_signal(number: int, frame: Any) -> None:
            if self.was_interrupted:
                raise KeyboardInterrupt
            self.was_interrupted = True
            print("stopping: trials keep their last checkpoint (once more: at once)", flush=True)

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def ray_cluster(address: str | None) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Connects to a cluster, or starts one here (see ray_environment.py); yields its nodes and a line for people.

    Raises:
        ConfigError: there is no cluster at the address, or Ray does not start here.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        _check_reachable(address)
        try:
            context = ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"--address {address}: no Ray cluster answers: {str(error).splitlines()[0]}") from None
    else:
        with without_sigterm():
            # counted by torch, which will use them: Ray looks for the driver's library, which it does not always find
            gpus = torch.cuda.device_count()
            try:
                context = ray.init(address="local", include_dashboard=True, num_gpus=gpus, **quiet)
            except Exception as error:  # Ray has no class of its own for it
                ray.shutdown()  # what did start
                raise ConfigError(f"Ray could not be started here, try again: {one_line(str(error))}") from None
    take_sigterm_as_ctrl_c()
    try:
        url = f"http://{context.dashboard_url}" if context.dashboard_url else "none"
        token = os.environ.get("RAY_AUTH_TOKEN") if not address else None
        yield ray.nodes(), f"Ray dashboard: {url}" + (f"  token: {token}" if token else "")
    finally:
        ray.shutdown()


def trial_resources(plan: SearchPlan, nodes: list[dict[str, Any]]) -> tuple[dict[str, float], list[str]]:
    """Returns what one trial asks of Ray, and lines about what differs from the plan.

    Args:
        plan: how many CPUs and GPUs a trial should have.
        nodes: as ray.nodes() describes them.

    Raises:
        ConfigError: no node can ever hold a trial.
    """
    cpus, gpus, notes = plan.options.cpus_per_trial, plan.options.gpus_per_trial, []
    if gpus and not any(node["Resources"].get("GPU") for node in nodes if node["Alive"]):
        reason = "no GPU here"
        if torch.cuda.is_available():
            reason = "Ray knows of no GPU, though torch sees one here (ray start --num-gpus N tells it)"
        notes.append(f"{reason}: trials run on {cpus:g} CPU each")
        gpus = 0.0
    resources = {"cpu": cpus, **({"gpu": gpus} if gpus else {})}
    if trial_slots(resources, nodes) < 1:
        has = ", ".join(
            f"{r.get('CPU', 0):g} CPU and {r.get('GPU', 0):g} GPU"
            for r in (n["Resources"] for n in nodes if n["Alive"])
        )
        raise ConfigError(
            f"a trial asks for {cpus:g} CPU and {gpus:g} GPU, but no node has as much ({has}); lower it with "
            "--cpus-per-trial and --gpus-per-trial, or under search: resources"
        )
    return resources, notes


def _check_reachable(address: str) -> None:
    """Asks whether anything listens at host:port; Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto", which Ray looks up itself
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHABLE_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--address {address}: no Ray cluster answers: {error}") from None


def trial_slots(resources: dict[str, float], nodes: list[dict[str, Any]]) -> int:
    """Returns how many trials run at a time.

    Args:
        resources: of one trial, from `trial_resources`.
        nodes: as ray.nodes() describes them.
    """
    slots = 0
    for node in nodes:
        if node["Alive"]:
            has = node["Resources"]
            slots += int(min(has.get(name.upper(), 0) / wanted for name, wanted in resources.items()) + 1e-9)
    return slots


def run_trials(
    plan: SearchPlan,
    folder: SearchFolder,
    history: History,
    events: list[Event],
    stream: EventStream,
    resources: dict[str, float],
    slots: int,
    data_digest: str | None = None,
) -> int | None:
    """Runs the trials that are still to be run.

    Args:
        plan: what to search.
        folder: where everything goes.
        history: of a search that is resumed; empty for a new one.
        events: that made the history.
        stream: gets the events.
        resources: of one trial, from `trial_resources`.
        slots: how many trials run at a time, from `trial_slots`.
        data_digest: of the data that all trials must find; None: it depends on the sample.

    Returns:
        The exit status of a search that has ended early, to be gone on with; None: it has come to its end.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # failed trials are told by our own events
    events = [*events, *_settle(plan, history, events, stream)]
    total_epochs = plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
    engine = build_engine(plan.space, plan.options, total_epochs, slots, history, events, plan.start)
    stopper = SearchStopper(plan.options, history, engine.searcher.close)
    if engine.searcher.has_more() and not stopper.stop_all():
        base_cfg = {key: get_value(plan.base_cfg, key) for key in KEYS if not KEYS[key].is_secret}
        trainable = tune.with_parameters(
            run_trial,
            base_cfg=base_cfg,
            trials_folder=str(folder.trials.absolute()),
            working_folder=os.getcwd(),
            timeout=plan.options.trial_timeout,
            data_digest=data_digest,
        )
        with (
            tempfile.TemporaryDirectory(prefix="yacstune-", ignore_cleanup_errors=True) as rays_own,
            stopper.listening(),
        ):
            tuner = tune.Tuner(
                tune.with_resources(trainable, resources),
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
                    callbacks=[EventCallback(stream, history, folder, plan.options.max_failures, stopper.halt)],
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
