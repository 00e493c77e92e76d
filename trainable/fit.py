"""The one training loop, used alike by the command line and by the trials of a search."""

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.defaults import get_cfg_defaults
from configs.dump import dump_cfg
from configs.errors import ConfigError
from configs.figures import NO_MATPLOTLIB
from configs.files import write_atomically
from configs.loader import FREE_ON_RESUME, as_begun, cfg_from_text, changed_keys, differences
from configs.metric_names import METRICS, best_row
from configs.user_modules import import_user_modules
from data.build import build_dataset
from data.image_data import DataError
from trainable.checkpoint import (
    CheckpointError,
    CheckpointFormatError,
    fitting,
    load_checkpoint,
    peek,
    save_checkpoint,
)
from trainable.environment import DATA, describe_environment
from trainable.evaluation.class_table import write_class_table
from trainable.evaluation.confusion_picture import draw_confusion
from trainable.process_state import configure_process
from trainable.run_folder import RunFolder
from trainable.stopwatch import CHECKPOINT, Stopwatch
from trainable.tensorboard import Tensorboard, hyperparameters_of, open_tensorboard
from trainable.training import Metrics, OnStep, Training
from trainable.update import TrainingDivergedError

logger = logging.getLogger(__name__)

Report = Callable[[Metrics, Path], None]


def fit(
    cfg: CfgNode,
    report: Report,
    folder: RunFolder,
    resume: bool = False,
    reported_epochs: int | None = None,
    data_digest: str | None = None,
    on_step: OnStep = lambda epoch, step, steps: None,
    hyperparameters: Mapping[str, Any] | None = None,
    stopwatch: Stopwatch | None = None,
) -> list[Metrics]:
    """Trains the model of a config and leaves checkpoints, metrics and config in a folder.

    Args:
        cfg: a loaded config.
        report: called after each epoch with its metrics (see configs/metric_names.py) and the path of its checkpoint;
            everything of the epoch is on disk by then. It may raise to end the training.
        folder: where files go; the caller holds its lock.
        resume: go on from the newest checkpoint in the folder, if there is one.
        reported_epochs: how many epochs of a resumed run `report` has had before; later ones on disk are reported
            without being trained again. None: all.
        data_digest: of the data that must be found (ImageData.digest); None: any.
        on_step: called after each update of the weights.
        hyperparameters: that TensorBoard lists, by key; None: what the config changes of the defaults.
        stopwatch: measures what the time of each epoch goes to.

    Returns:
        The metrics of all epochs, those before a resume included.

    Raises:
        ConfigError: a part or the data cannot be built from the config.
        DataError: the data is not what it was.
        TrainingDivergedError: a metric is nan or infinite, or too many steps were skipped.
    """
    cfg = _as_resumed(cfg)
    import_user_modules(cfg.USER_MODULES)  # before seeding: a module may draw random numbers while it is imported
    device = configure_process(cfg)
    data = build_dataset(cfg.DATASET)
    if data_digest not in (data.digest, None):  # made now, before an image can vanish
        raise DataError(
            f"the images of {cfg.DATASET.NAME}, their labels or their split are not those that the search "
            "began with; put them back",
            key="DATASET",
        )
    stopwatch = stopwatch or Stopwatch()
    training = Training(cfg, data, device, stopwatch)
    has_resumed = resume and _resume(training, folder)
    if cfg.RESUME_PATH and not has_resumed:
        _continue_from(training, cfg.RESUME_PATH, folder)
    folder.config.parent.mkdir(parents=True, exist_ok=True)
    environment = describe_environment(device, cfg) | ({DATA: data.digest} if data.digest else {})
    write_atomically(folder.config, dump_cfg(cfg, training.resolved_cfg, environment))
    folder.write_metrics(training.metrics)
    folder.write_task_metrics(training.task_metrics)

    for row in training.metrics[training.epoch if reported_epochs is None else reported_epochs :]:
        report(row, folder.latest)

    logger.info("training on %s, %d thread(s), from epoch %d", device, cfg.NUM_THREADS, training.epoch + 1)
    with open_tensorboard(folder.tensorboard if cfg.TENSORBOARD else None) as tensorboard:
        _add_past(tensorboard, training, folder.is_trial, hyperparameters)
        while training.epoch < cfg.MODEL.SOLVER.TOTAL_EPOCHS:
            row = _train_epoch(training, on_step)
            with stopwatch.measuring(CHECKPOINT):
                _keep(training, row, folder)
                tensorboard.add_epoch(row, training.task_metrics[-len(training.data.classes) :], cfg.BEST_METRIC)
            logger.info(
                "epoch %(epoch)d: train_loss %(train_loss).4f, val_loss %(val_loss).4f, val_score %(val_score).4f", row
            )
            report(row, folder.latest)
    if not folder.is_trial:
        _draw_confusion(training, folder)
    return training.metrics


def _add_past(
    tensorboard: Tensorboard, training: Training, is_trial: bool, hyperparameters: Mapping[str, Any] | None
) -> None:
    """Adds what TensorBoard is told before the first epoch, and epochs that a process that was killed may have had."""
    cfg = training.cfg
    if training.epoch == 0:
        tensorboard.add_start(training, not is_trial if cfg.TENSORBOARD_GRAPH is None else cfg.TENSORBOARD_GRAPH)
    tensorboard.add_hyperparameters(
        hyperparameters_of(cfg) if hyperparameters is None else hyperparameters, cfg.BEST_METRIC
    )
    tasks = len(training.data.classes)
    for place, row in enumerate(training.metrics):
        tensorboard.add_epoch(row, training.task_metrics[place * tasks : (place + 1) * tasks], cfg.BEST_METRIC)


def _train_epoch(training: Training, on_step: OnStep) -> Metrics:
    """Trains an epoch and returns its metrics; says how many steps were skipped."""
    before = training.update.skipped
    row = training.run_epoch(on_step)
    skipped = training.update.skipped - before
    if skipped:
        logger.warning(
            "epoch %d: %d steps were skipped, since loss or gradient was not finite", training.epoch, skipped
        )
    return row


def _keep(training: Training, row: Metrics, folder: RunFolder) -> None:
    """Puts an epoch on disk. The checkpoint holds the metrics too, so that metrics.csv can always be made from it."""
    unusable = [name for name, value in row.items() if not math.isfinite(value)]
    if unusable:
        folder.append_metrics(row)
        raise TrainingDivergedError(
            f"epoch {row['epoch']}: {', '.join(f'{name} is {row[name]}' for name in unusable)}; "
            "a lower MODEL.SOLVER.OPTIMIZER.BASE_LR usually helps"
        )
    assert training.evaluation is not None  # an epoch has been trained
    write_class_table(folder.class_table(row["epoch"]), training.evaluation.class_table())  # the checkpoint lacks it
    save_checkpoint(folder.latest, training.state_dict())
    _keep_best(training, folder)
    folder.keep_backup(row["epoch"], training.cfg.MODEL_BACKUPS)
    folder.write_task_metrics(training.task_metrics)
    folder.append_metrics(row)


def _draw_confusion(training: Training, folder: RunFolder) -> None:
    if training.evaluation is None and folder.confusion.exists():  # nothing was left to train
        return
    try:
        draw_confusion(folder.confusion, training.evaluation or training.evaluate(), training.data.classes)
    except ImportError:
        logger.info("no picture of confused classes: %s", NO_MATPLOTLIB)


def _keep_best(training: Training, folder: RunFolder) -> None:
    if best_row(training.cfg.BEST_METRIC, training.metrics)["epoch"] == training.epoch:
        folder.keep_as(folder.best)


def newest_checkpoint(folder: RunFolder) -> tuple[Path, dict[str, Any] | None]:
    """Returns the newest checkpoint of a folder that is not damaged, and what it holds; None: there is none.

    Raises:
        CheckpointFormatError: another version wrote it. It is not damaged: no run must begin anew over it.
    """
    for path in (folder.latest, *reversed(folder.backup_files()), folder.best):
        try:
            return path, load_checkpoint(path)
        except CheckpointFormatError:
            raise
        except CheckpointError as error:
            if path.exists():
                logger.warning("%s", error)
    return folder.latest, None


def _resume(training: Training, folder: RunFolder) -> bool:
    """Goes on from the newest checkpoint of the folder that is not damaged; returns whether there is one."""
    path, state = newest_checkpoint(folder)
    if state is None:
        return False
    with fitting(path):
        training.load_state_dict(state)
        _check_metrics(training)
    if path != folder.latest:
        logger.warning("going on after epoch %d, with %s", training.epoch, path)
        save_checkpoint(folder.latest, state)
    _keep_best(training, folder)  # the process may have died before it had done so
    folder.keep_backup(training.epoch, training.cfg.MODEL_BACKUPS)
    return True


def _check_metrics(training: Training) -> None:
    """Raises if the metrics of epochs that a checkpoint holds are none."""
    for epoch, row in enumerate(training.metrics, start=1):
        if row.keys() != METRICS.keys() or not all(math.isfinite(value) for value in row.values()):
            raise ValueError(f"the metrics of epoch {epoch} are {row}")
    if len(training.metrics) != training.epoch:
        raise ValueError(f"it holds the metrics of {len(training.metrics)} epochs, and has trained {training.epoch}")


def _as_resumed(cfg: CfgNode) -> CfgNode:
    """Returns the config, with what RESUME_PATH says where defaults have changed since and nothing else is given."""
    if not cfg.RESUME_PATH:
        return cfg
    content = peek(cfg.RESUME_PATH)
    if not isinstance(content.get("config"), str):  # told by whoever goes on from it
        return cfg
    before = cfg_from_text(content["config"], cfg.RESUME_PATH)
    return as_begun(before, cfg, dict.fromkeys(changed_keys(get_cfg_defaults(), cfg), ""))


def _continue_from(training: Training, path: str, folder: RunFolder) -> None:
    try:
        state = load_checkpoint(path)
    except CheckpointError as error:
        raise ConfigError(f"cannot go on from it: {error}", key="RESUME_PATH") from None
    with fitting(path):
        changed = differences(cfg_from_text(state["config"], path), training.cfg, FREE_ON_RESUME)
        if changed:
            raise ConfigError(
                f"{path}: a training is resumed with the config it had, but {'; '.join(changed)}", key="RESUME_PATH"
            )
        training.load_state_dict(state)
        _check_metrics(training)
    folder.path.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder.latest, state)
    _keep_best(training, folder)
