"""What a worker process of Ray does for one trial."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ray import tune
from yacs.config import CfgNode

from configs.defaults import KEYS
from configs.dump import dump_cfg
from configs.errors import ConfigError, explained
from configs.files import write_atomically
from configs.loader import FREE_ON_RESUME, cfg_from_text, cfg_of, changed_keys
from configs.metric_names import METRICS, best_row
from configs.tracking import track_reads
from configs.tree import get_value, plain
from configs.user_modules import import_user_modules
from data.build import build_dataset
from data.image_data import DataError
from search.plan import merge_sample
from search.record.history import trial_name
from search.record.outcomes import Outcome
from search.trials.faults import NodeError, is_of_device, outcome_of
from search.trials.gpu_memory import GpuMemory, GpuShareExceededError, within_share
from search.trials.messages import EpochMessage, FailureMessage, to_result
from search.trials.node_check import Expected, is_seen
from search.trials.secret_values import SecretSource, take_secrets
from search.trials.watchdog import Watchdog, watching
from trainable.checkpoint import CheckpointError, CheckpointFormatError, load_checkpoint, save_checkpoint
from trainable.fit import fit, newest_checkpoint
from trainable.log_file import log_to
from trainable.process_state import ProcessState
from trainable.run_folder import FolderLock, RunFolder
from trainable.stopwatch import WAITING, Stopwatch
from trainable.update import TrainingDivergedError


class MissingMetricError(RuntimeError):
    """A report lacks a metric."""


OURS = (ConfigError, TrainingDivergedError, MissingMetricError, GpuShareExceededError)  # their message says it all

logger = logging.getLogger(__name__)

LOCK_WAIT = 60.0  # seconds: workers of a driver that was killed take a few to go

_pristine: ProcessState | None = None


@dataclass(frozen=True)
class TrialSetup:
    """What all trials of a search have in common.

    Attributes:
        base_cfg: settings that samples are merged over, by key.
        trials_folder: holds one folder a trial; a trial goes on from what it finds in its own.
        working_folder: where the search was started, and where relative paths of a user's parts begin.
        timeout: seconds that an epoch may take.
        data_digest: of the data that all trials train on; None: it depends on the sample.
        memory: of the GPU, of which a trial gets a share; None: it uses none.
        searched: the keys of the space's parameters.
        secret_source: where the process asks for secrets; None: there are none.
        expected: what this node must see; None: it is the driver's.
    """

    base_cfg: dict[str, Any]
    trials_folder: str
    working_folder: str
    timeout: float | None = None
    data_digest: str | None = None
    memory: GpuMemory | None = None
    searched: Sequence[str] = ()
    secret_source: SecretSource | None = None
    expected: Expected | None = None


def run_trial(config: dict[str, Any], setup: TrialSetup) -> None:
    """Trains the config of a sample in the trial's folder and reports each epoch to Ray.

    Args:
        config: of the trial, see `trial_config` in ray_searcher.py.
        setup: of the search.
    """
    folder = RunFolder(Path(setup.trials_folder) / trial_name(config["number"], config["id"]), is_trial=True)
    try:
        if setup.expected is not None and not is_seen(setup.expected):  # it has joined, and Ray was faster
            raise NodeError(f"this machine does not see {setup.trials_folder}, or not {setup.working_folder}")
        _leave_rays_folder(setup.working_folder, folder.path.name)
        _restore_process(setup.base_cfg["USER_MODULES"], setup.secret_source)
        with (
            folder.locked(wait=LOCK_WAIT) as lock,
            log_to(folder.log),
            open(folder.log, "a", buffering=1) as log,
            _output_to(log),
            watching(log, setup.timeout) as watchdog,
        ):
            _train(config, setup, folder, lock, watchdog)
    except Exception as error:
        outcome = Outcome.BLOCKS_SEARCH if _is_of_search(error, setup.base_cfg) else outcome_of(error)
        tune.report(to_result(FailureMessage(outcome, _reason(error))))
        if is_of_device(error) or isinstance(error, NodeError):
            raise  # Neither this process nor its place is of use; Ray starts another for the next trial.
        # Else it is not raised: a new process takes many seconds to import everything.


@contextlib.contextmanager
def _output_to(log: IO[str]) -> Iterator[None]:
    """Sends what the process prints to a log, also what C libraries, CUDA and child processes print."""
    before = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    try:
        for descriptor, _ in before:
            os.dup2(log.fileno(), descriptor)
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        for descriptor, copy in before:
            os.dup2(copy, descriptor)
            os.close(copy)


def _reason(error: Exception) -> str:
    if isinstance(error, OURS):
        return str(error)
    return f"{type(error).__name__}: {explained(error) if isinstance(error, OSError) else error}"


def _is_of_search(error: Exception, base_cfg: dict[str, Any]) -> bool:
    """Whether data or checkpoints of the search cannot be used, so that the next trial would fail like this one."""
    if isinstance(error, NodeError):
        return False
    if isinstance(error, DataError | CheckpointFormatError):
        return True
    if isinstance(error, ConfigError | OSError):  # of the sample, unless the search's own data cannot be built either
        try:
            build_dataset(cfg_of(base_cfg, "base").DATASET)
        except (ConfigError, OSError):
            return True
    return False


def _leave_rays_folder(working_folder: str, name: str) -> None:
    """Goes to where the search was started, as a training by hand does, from the folder that Ray makes for a trial."""
    rays = Path.cwd()
    with contextlib.suppress(OSError):  # on another machine it may not be there
        os.chdir(working_folder)
        if rays.name.startswith(name):
            rays.rmdir()


def _restore_process(user_modules: Sequence[str], secret_source: SecretSource | None) -> None:
    """Undoes whatever the trial before left behind in this process."""
    global _pristine
    if _pristine is None:
        take_secrets(secret_source)
    import_user_modules(user_modules)
    if _pristine is None:  # what they change when they are imported holds for all trials
        _pristine = ProcessState()
    _pristine.restore()


def _train(
    config: dict[str, Any], setup: TrialSetup, folder: RunFolder, lock: FolderLock, watchdog: Watchdog | None
) -> None:
    try:
        cfg, read = track_reads(merge_sample(cfg_of(setup.base_cfg, "base"), config["settings"]))
        if not folder.config.exists():  # so that a trial that fails at once can be run alone, too
            folder.config.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(folder.config, dump_cfg(cfg))
        stopwatch = Stopwatch()
        total = cfg.MODEL.SOLVER.TOTAL_EPOCHS
        show_title(config["number"], config["reported_epochs"] + 1, total)
        if config["donor"]:
            _take_over(cfg, folder, config["donor"])

        def report(row: dict[str, Any], checkpoint: Path) -> None:
            missing = [name for name in METRICS if name not in row]
            if missing:
                raise MissingMetricError(f"epoch {row.get('epoch')}: the report has no {', '.join(missing)}")
            sampled = () if config["is_reference"] else config["params"]
            unread = [key for key in sampled if key in KEYS and key not in read]
            # Ray never comes back from the report by which a trial is stopped; another worker may then go on with it
            lock.release()
            if watchdog:
                watchdog.pause()
            message = EpochMessage(row, tuple(unread), stopwatch.take())
            with stopwatch.measuring(WAITING):
                tune.report(to_result(message))
            show_title(config["number"], row["epoch"] + 1, total)  # Ray has set its own meanwhile
            if watchdog:
                watchdog.count()
            lock.acquire()

        with within_share(setup.memory, cfg):
            fit(
                cfg,
                report,
                folder,
                resume=True,
                reported_epochs=config["reported_epochs"],
                data_digest=setup.data_digest,
                hyperparameters=_searched(cfg, config, setup.searched),
                stopwatch=stopwatch,
            )
    except OURS as error:
        logger.error("%s", error)
        raise
    except Exception:
        logger.exception("the trial failed")
        raise


def show_title(number: int, epoch: int, total: int) -> None:
    """Makes this process show which trial it trains: in the dashboard's cluster page, and in `ps`."""
    with contextlib.suppress(ImportError):  # it is Ray's own, and may go
        from ray._raylet import setproctitle  # type: ignore[attr-defined]

        setproctitle(f"ray::trial {number}, epoch {min(epoch, total)}/{total}")


def _searched(cfg: CfgNode, config: dict[str, Any], searched: Sequence[str]) -> dict[str, Any]:
    """Returns the values of the parameters of the space; None for those that the sample does not have."""
    if config["is_reference"]:
        return {key: plain(get_value(cfg, key)) if key in KEYS else None for key in searched}
    return {key: config["params"].get(key) for key in searched}


def _take_over(cfg: CfgNode, folder: RunFolder, donor: dict[str, Any]) -> None:
    """Puts the weights of another trial into the folder, unless the trial has trained on with them already."""
    own, content = newest_checkpoint(folder)
    if content and not changed_keys(cfg_from_text(content["config"], str(own)), cfg, FREE_ON_RESUME):
        return
    others = RunFolder(folder.path.with_name(donor["name"]))
    try:
        state = load_checkpoint(others.backup(donor["epoch"]))
    except CheckpointError as error:
        raise ConfigError(f"the weights of trial {donor['number']} cannot be taken over: {error}") from None
    save_checkpoint(folder.latest, state)
    _take_over_best(cfg.BEST_METRIC, state["metrics"], others, folder)


def _take_over_best(metric: str, rows: list[dict[str, Any]], donor: RunFolder, folder: RunFolder) -> None:
    """Puts the checkpoint of the best of the epochs that are taken over into the folder, if the donor still has it."""
    folder.best.unlink(missing_ok=True)  # it is from a past that is given up
    epoch = best_row(metric, rows)["epoch"]
    for path in (donor.backup(epoch), donor.best):
        with contextlib.suppress(CheckpointError):  # it is gone, or damaged
            state = load_checkpoint(path)
            if state["metrics"] == rows[:epoch]:  # the donor may have taken over others' weights since
                save_checkpoint(folder.best, state)
                return
    logger.info("there is no best.pt until an epoch is better than epoch %d, whose weights are gone", epoch)
