"""One search from start to end: checks, folder, Ray, trials, results."""

import os
import platform
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import yaml

import yacstune
from configs.errors import ConfigError
from configs.files import shown_path, write_atomically
from configs.user_modules import code_checksums, other_code
from configs.yaml_file import yaml_text
from data.build import build_dataset
from search.folder import SearchFolder, claimed
from search.plan import SearchPlan
from search.preflight import check_parts, notes_on
from search.record.event_log import VERSION, EventLog
from search.record.events import SEARCH_STARTED, EventStream
from search.record.history import FINISHED, History, with_result
from search.record.results import Results
from search.record.terminal import Terminal, describe
from search.trials.cluster import Machines, free_gpu_memory, ray_cluster, trial_resources, trial_slots, workers_host
from search.trials.gpu_memory import GpuMemory, context_size, free_before_context
from search.trials.node_check import NodeChecks, checked_nodes, expected_of_nodes
from search.trials.node_watch import head_watched
from search.trials.secret_values import served
from search.trials.tuner import has_more, run_trials

FOUND, NOTHING_FOUND = 0, 3  # exit statuses, beside 130 for interrupted and 2 for what the user has to mend
SHUTDOWN = 15.0  # seconds that Ray gets to end after an interruption


def run_search(
    plan: SearchPlan,
    folder: SearchFolder,
    address: str | None,
    resume: bool,
    command: str,
    with_dashboard: bool = True,
    is_given: bool = True,
) -> int:
    """Searches and returns the exit status.

    Args:
        plan: what to search.
        folder: where everything goes; made here, after all checks.
        address: of a Ray cluster; None starts one.
        resume: go on with what is in the folder.
        command: that was given, to be kept in the folder.
        with_dashboard: whether the Ray that is started here has a dashboard.
        is_given: whether the user gave the folder; else the next free one is taken.
    """
    with _told_how_to_go_on(folder) if resume else nullcontext():
        return _run(plan, folder, address, resume, command, with_dashboard, is_given)


@contextmanager
def _told_how_to_go_on(folder: SearchFolder) -> Iterator[None]:
    """Says how a search goes on that is interrupted before its trials begin, or after they have ended."""
    try:
        yield
    except KeyboardInterrupt:
        if folder.is_search():
            print(f"go on with: {folder.resume_command()}", flush=True)
        raise


def _run(
    plan: SearchPlan,
    folder: SearchFolder,
    address: str | None,
    resume: bool,
    command: str,
    with_dashboard: bool,
    is_given: bool,
) -> int:
    free_before = free_before_context() if plan.options.gpus_per_trial else {}
    check_parts(plan)  # the first that uses the GPU
    context = context_size(free_before)
    for line in notes_on(plan):
        print(f"note: {line}")
    log, digest = EventLog(folder.events), _data_digest(plan)
    events = log.read()
    history = History(events)
    if None not in (history.data_digest, digest) and history.data_digest != digest:
        raise ConfigError(
            f"{folder.path}: a search goes on with the data that it began with, but the images of "
            f"{plan.base_cfg.DATASET.NAME}, their labels or their split are others now; put them back, or start a "
            "new search without --resume"
        )
    code = code_checksums(plan.base_cfg.USER_MODULES)
    for line in other_code(history.code, code):
        print(f"note: {line}, and trials that go on have begun with the code before")
    with ExitStack() as last, ExitStack() as stack:
        machines, lines = Machines(), ["nothing is left to run: Ray is not started"]
        is_needed = has_more(plan, history, events)
        if is_needed:
            nodes, dashboard = stack.enter_context(ray_cluster(address, with_dashboard))
            resources, notes = trial_resources(plan, nodes)  # before there is a folder
            lines = [dashboard, *notes]
        folder = claimed(folder, None if resume or is_given else plan.name, not resume, last)
        if is_needed:
            machines, left_out = _machines(plan, folder, address, digest, nodes, resources, context, stack)
            lines += left_out
        if not resume:
            last.enter_context(_told_how_to_go_on(folder))
        log = EventLog(folder.events)
        events = log.read()  # again, now that nobody else can add to them
        history = History(events)
        _write_provenance(plan, folder, command)
        log.drop_torn_line()
        stream = EventStream([log, history, Results(plan, history, folder), Terminal(plan, history, folder)])
        base = history.reference()
        is_compared = base is not None and base.state in FINISHED
        _greet(plan, folder, machines.slots, [*lines, *_resumed(plan, history)], is_compared)
        stream.emit(SEARCH_STARTED, version=VERSION, data_digest=digest, code=code)
        early = run_trials(plan, folder, history, events, stream, machines, digest)
        if early is not None:
            print(f"go on with: {folder.resume_command()}", flush=True)
            last.callback(_limited(SHUTDOWN, early).cancel)  # when Ray has ended
    if early is not None:
        return early
    return FOUND if with_result(history.samples()) else NOTHING_FOUND


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
    kept = len(history.in_state(*FINISHED))
    going_on = len(history.trials) - kept
    new = max(0, plan.options.num_samples - len(history.samples()))
    others = f"{going_on} go on from their last checkpoint, {new} are still to be made"
    lines = [f"resumed: {kept} trials are kept, {others}"]
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
    packages = ("torch", "timm", "ray", "optuna", "albumentations", "numpy")
    versions = {"yacstune": yacstune.__version__, "python": platform.python_version()}
    runs.append({"command": command, "versions": versions | {package: version(package) for package in packages}})
    _keep_earlier(folder.space, plan.space_yaml())
    write_atomically(folder.base, plan.base_yaml())
    write_atomically(folder.provenance, yaml_text(runs, flow=False))
    write_atomically(folder.space, plan.space_yaml())  # last: with it, the folder is that of a search


def _keep_earlier(path: Path, content: str) -> None:
    """Keeps a file that is about to change under another name: space-1.yaml, space-2.yaml ..."""
    if path.exists() and path.read_text() != content:
        numbered = (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(1))
        write_atomically(next(free for free in numbered if not free.exists()), path.read_text())
