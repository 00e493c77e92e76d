"""One search from start to end: checks, folder, Ray, trials, results."""

import os
import platform
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import yaml

import yacstune
from configs.defaults import get_cfg_defaults
from configs.errors import ConfigError, ExitStatus, counted
from configs.files import shown_path, write_atomically
from configs.tree import get_value, plain
from configs.user_modules import code_checksums, other_code
from configs.yaml_file import yaml_text
from data.build import build_dataset
from search.analysis import FoundSearch
from search.engine.controller import Controller
from search.folder import SearchFolder, claimed
from search.plan import SearchPlan
from search.preflight import check_parts, notes_on
from search.record.event_log import EventLog
from search.record.events import SearchEnded, SearchStarted
from search.record.history import History, with_result
from search.record.outcomes import ENDED
from search.record.recorder import Recorder
from search.record.results import Results
from search.rungs_and_rate import with_rungs
from search.trials.cluster import Machines, free_gpu_memory, ray_cluster, trial_resources, trial_slots, workers_host
from search.trials.gpu_memory import GpuMemory, context_size, free_before_context
from search.trials.node_check import NodeChecks, checked_nodes, expected_of_nodes
from search.trials.node_watch import head_watched
from search.trials.ray_metrics import RayMetrics
from search.trials.secret_values import served
from search.trials.tuner import run_trials
from search.views.describe import describe
from search.views.notify import Notifier
from search.views.output import Output
from search.views.report.writer import ReportWriter

SHUTDOWN = 15.0  # seconds that Ray gets to end after an interruption


def run_search(
    plan: SearchPlan,
    folder: SearchFolder,
    address: str | None,
    resume: bool,
    command: str,
    output: Output,
    with_dashboard: bool = True,
    is_given: bool = True,
) -> ExitStatus:
    """Searches and returns the exit status.

    Args:
        plan: what to search.
        folder: where everything goes; made here, after all checks.
        address: of a Ray cluster; None starts one.
        resume: go on with what is in the folder.
        command: that was given, to be kept in the folder.
        output: in which form it is told what happens.
        with_dashboard: whether the Ray that is started here has a dashboard.
        is_given: whether the user gave the folder; else the next free one is taken.
    """
    with _told_how_to_go_on(folder) if resume else nullcontext():
        context = _check_parts(plan)
        plan = with_rungs(plan)
        for line in notes_on(plan):
            print(f"note: {line}")
        with ExitStack() as last:
            if resume:
                claimed(folder, None, False, last)
            digest, code = _data_digest(plan), code_checksums(plan.base_cfg.USER_MODULES)
            events = EventLog(folder.events).read() if resume else []
            total_epochs = plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
            controller = Controller(plan.space, plan.options, total_epochs, events, plan.start, plan.earlier)
            _check_resumed(plan, folder, controller.history, digest, code)
            with ExitStack() as stack:
                machines, lines = Machines(), ["nothing is left to run: Ray is not started"]
                has_more = not controller.should_stop() and controller.has_more()
                if has_more:
                    nodes, dashboard = stack.enter_context(ray_cluster(address, with_dashboard))
                    resources, notes = trial_resources(plan, nodes)  # before there is a folder
                    lines = [dashboard, *notes]
                if not resume:
                    folder = claimed(folder, None if is_given else plan.name, True, last)
                if has_more:
                    machines, left_out = _machines(plan, folder, address, digest, nodes, resources, context, stack)
                    lines += left_out
                if not resume:
                    last.enter_context(_told_how_to_go_on(folder))
                _write_provenance(plan, folder, command)
                started = _started(plan, digest, code, machines)
                status = _search(controller, started, plan, folder, machines, output, lines, has_more, last)
    return status


def _check_parts(plan: SearchPlan) -> int:
    """Tries every part, and returns the bytes of a GPU that a process takes before it has a tensor there."""
    free_before = free_before_context() if plan.options.gpus_per_trial else {}
    check_parts(plan)  # the first that uses the GPU
    return context_size(free_before)


def _check_resumed(
    plan: SearchPlan, folder: SearchFolder, history: History, digest: str | None, code: Mapping[str, str]
) -> None:
    """Refuses other data than the search began with, and tells of other code."""
    if None not in (history.data_digest, digest) and history.data_digest != digest:
        raise ConfigError(
            f"{folder.path}: a search is resumed with the data that it began with, but the images of "
            f"{plan.base_cfg.DATASET.NAME}, their labels or their split have changed since; put them back, or "
            "start a new search without --resume"
        )
    metric = plan.options.metric
    for record in history.trials.values():
        if any(metric not in row for row in record.rows):
            raise ConfigError(
                f"{folder.events}: trial {record.number} has an epoch without {metric}; fix the line, or start a new "
                "search"
            )
    for line in other_code(history.code, code):
        print(f"note: {line}, and trials that are resumed have begun with the code before")


def _search(
    controller: Controller,
    started: SearchStarted,
    plan: SearchPlan,
    folder: SearchFolder,
    machines: Machines,
    output: Output,
    lines: Sequence[str],
    has_more: bool,
    last: ExitStack,
) -> ExitStatus:
    """Runs what is left of a search whose folder is claimed, and returns the exit status.

    Args:
        controller: of the search.
        started: its first event.
        plan: what is searched.
        folder: where everything goes.
        machines: on which trials run.
        output: in which form it is told what happens.
        lines: to be told first.
        has_more: whether anything is left to run.
        last: is left when Ray has ended.
    """
    history = controller.history
    log = EventLog(folder.events)
    log.drop_torn_line()
    base = history.reference()
    is_compared = base is not None and base.state in ENDED
    _greet(plan, folder, machines.slots, [*lines, *_resumed(plan, history)], is_compared)
    found = FoundSearch(replace(plan, name=folder.path.name), history, folder)
    with output.observer(found) as observer:
        # The report comes before the line that names it.
        observers = [
            ReportWriter(found),
            observer,
            *([RayMetrics(found)] if has_more else []),
        ]
        if plan.options.notify:
            observers.append(Notifier(plan.options.notify, found))
        recorder = Recorder(log, history, Results(plan, history, folder).update, observers)
        controller.begin(started, machines.slots, recorder.record)
        if has_more and controller.has_more() and not controller.should_stop():
            run_trials(controller, plan, folder, machines, recorder, started.data_digest)
        reason = controller.finish()
    halted = controller.stopping.halted or recorder.results_error
    if not isinstance(history.events[-1], SearchEnded):
        recorder.say(f"\n{reason}; this and the results could not be written: {controller.stopping.halted}")
    elif recorder.results_error:
        recorder.say(f"the results could not be written: {recorder.results_error}")
    if halted or controller.stopping.is_requested:
        status = ExitStatus.MISTAKE if halted else ExitStatus.INTERRUPTED
        recorder.say(f"resume with: {folder.resume_command()}")
        last.callback(_limited(SHUTDOWN, status).cancel)  # when Ray has ended
        return status
    return ExitStatus.DONE if with_result(history.samples()) else ExitStatus.NO_RESULT


def _started(plan: SearchPlan, digest: str | None, code: dict[str, str], machines: Machines) -> SearchStarted:
    """Returns the event that a search begins, or is resumed, with."""
    defaults = get_cfg_defaults()
    base = {key: plain(value) for key, value in plan.base_values().items() if value != get_value(defaults, key)}
    return SearchStarted(
        data_digest=digest,
        code=code,
        base=base,
        space=plan.sampled(),
        options=plan.options.to_yaml(),
        resources={**machines.resources, "slots": machines.slots},
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    packages = ("torch", "timm", "ray", "optuna", "albumentations", "numpy")
    versions = {"yacstune": yacstune.__version__, "python": platform.python_version()}
    return versions | {package: version(package) for package in packages}


@contextmanager
def _told_how_to_go_on(folder: SearchFolder) -> Iterator[None]:
    """Says how a search is resumed that is interrupted before its trials begin, or after they have ended."""
    try:
        yield
    except KeyboardInterrupt:
        if folder.is_search():
            print(f"resume with: {folder.resume_command()}", flush=True)
        raise


def _machines(
    plan: SearchPlan,
    folder: SearchFolder,
    address: str | None,
    data_digest: str | None,
    nodes: list[dict[str, Any]],
    resources: dict[str, float],
    context: int,
    stack: ExitStack,
) -> tuple[Machines, list[str]]:
    """Returns what trials run on, and lines about what they do not run on.

    Args:
        plan: what to search.
        folder: of the search, locked.
        address: of a cluster, whose nodes are asked whether they can; None: Ray runs here alone.
        data_digest: of the data that all trials train on.
        nodes: as ray.nodes() describes them.
        resources: of one trial.
        context: bytes that a process takes of a GPU before it has a tensor there.
        stack: whose end ends what is begun here.
    """
    source = stack.enter_context(served(plan.secrets, workers_host(address)))
    checks: NodeChecks | None = None
    memory: GpuMemory | None = None
    left_out: list[str] = []
    if address:
        stack.enter_context(head_watched(folder.resume_command()))
        expected = stack.enter_context(expected_of_nodes(plan, folder, data_digest, source))
        checks, nodes, left_out = checked_nodes(expected, nodes, resources)
    if "gpu" in resources:
        memory = GpuMemory(plan.options.gpus_per_trial, free_gpu_memory(nodes), context)
        memory.check()
    return Machines(resources, trial_slots(resources, nodes), memory, source, checks), left_out


def _data_digest(plan: SearchPlan) -> str | None:
    """Returns the checksum of the data that all trials train on, None if it depends on the sample."""
    if any(item.key in ("DATASET.NAME", "DATASET.FOCUS_CLASS") for item in plan.space.items):
        return None
    return build_dataset(plan.base_cfg.DATASET).digest


def _limited(seconds: float, status: int) -> threading.Timer:
    """Ends this process after some seconds, unless it is cancelled: Ray may wait for processes that are gone."""
    leaving = threading.Timer(seconds, os._exit, [status])
    leaving.daemon = True
    leaving.start()
    return leaving


def _greet(plan: SearchPlan, folder: SearchFolder, slots: int, lines: list[str], is_compared: bool) -> None:
    options = plan.options
    epochs = plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
    print(
        f"search {plan.name}: {options.num_samples} trials of at most {epochs} epochs, {options.sampler.name} and "
        f"{options.scheduler.name}, {f'{slots} at a time, ' if slots else ''}in {shown_path(folder.path)}"
    )
    if options.reference and not is_compared:
        print("beside them, the base config is trained to its end, to compare with (search: reference)")
    if options.kinds:
        print(
            f"values of {' and '.join(options.kinds)} are compared by whole trainings, since they may learn at "
            "different speeds (search: kinds)"
        )
    for line in lines:
        print(line)
    print(end="", flush=True)


def _resumed(plan: SearchPlan, history: History) -> list[str]:
    if not history.trials:
        return []
    kept = len(history.by_end())
    going_on = sum(record.has_begun for record in history.interrupted() + history.running())
    not_begun = sum(not r.has_begun and r.is_sample for r in history.interrupted() + history.running())
    new = max(0, plan.options.num_samples - history.number_of_samples) + not_begun
    others = f"{going_on} go on from their last checkpoint, {new} are still to be made"
    lines = [f"resumed: {counted(kept, 'trial')} kept, {others}"]
    metric = plan.options.metric
    best = history.best_trial(metric)
    if best is not None:
        row = best.best(metric) or {}
        lines.append(f"best so far: {best.title}, {metric} {row[metric]:.4f}: {describe(best.params_at(row['epoch']))}")
    return lines


def _write_provenance(plan: SearchPlan, folder: SearchFolder, command: str) -> None:
    """Keeps space, base, command and versions; a resumed search adds its own to the first one's."""
    folder.trials.mkdir(parents=True, exist_ok=True)
    runs = yaml.safe_load(folder.provenance.read_text()) if folder.provenance.exists() else []
    runs.append({"command": command, "versions": _versions()})
    _keep_earlier(folder.space, plan.space_yaml())
    write_atomically(folder.base, plan.base_yaml())
    write_atomically(folder.provenance, yaml_text(runs, flow=False))
    write_atomically(folder.space, plan.space_yaml())  # last: with it, the folder is that of a search


def _keep_earlier(path: Path, content: str) -> None:
    """Keeps a file that is about to change under another name: space-1.yaml, space-2.yaml ..."""
    if path.exists() and path.read_text() != content:
        numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
        write_atomically(next(free for free in numbered if not free.exists()), path.read_text())
