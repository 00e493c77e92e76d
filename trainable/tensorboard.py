"""What TensorBoard shows of a training."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tensorboardX import SummaryWriter
from yacs.config import CfgNode

from configs.defaults import get_cfg_defaults
from configs.loader import changed_keys
from configs.metric_names import OBJECTIVES
from configs.tree import flatten
from data.image_files import printable
from trainable.training import Training

logger = logging.getLogger(__name__)

GRID_IMAGES = 16  # four rows of four


class Tensorboard:
    """Writes metrics, inputs, graph and hyperparameters; without a writer, nothing."""

    def __init__(self, writer: SummaryWriter | None):
        self._writer = writer

    def add_start(self, training: Training, with_graph: bool) -> None:
        """Adds a grid of augmented inputs, and the model's graph if wanted."""
        if self._writer is None:
            return
        images, _ = training.loader.sample(GRID_IMAGES)
        self._writer.add_images("inputs", images[:GRID_IMAGES].numpy(), 0)
        if with_graph:
            self._add_graph(training, images[:1])

    def _add_graph(self, training: Training, image: torch.Tensor) -> None:
        assert self._writer is not None
        was_training, training_model = training.model.training, training.model.eval()
        try:
            with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
                warnings.simplefilter("ignore")  # the tracer's remarks on models of others
                self._writer.add_graph(training_model, training.to_input(image), use_strict_trace=False)
        except Exception as error:  # a model that cannot be traced can be trained all the same
            logger.info("no graph for TensorBoard: %s", error)
        finally:
            training_model.train(was_training)

    def add_epoch(self, row: dict[str, Any], tasks: list[dict[str, Any]]) -> None:
        """Adds an epoch: its metrics, named as in metrics.csv, and those of its tasks."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, row["epoch"])
        for of_task in tasks:
            for name in ("acc", "recall"):
                self._writer.add_scalar(f"{of_task['task']}/{name}", of_task[name], row["epoch"])

    def add_hyperparameters(self, cfg: CfgNode, best: dict[str, Any]) -> None:
        """Adds what the config changes of the defaults, with the metrics of the best epoch."""
        if self._writer is None:
            return
        values = flatten(cfg)
        changed = {key: values[key] for key in changed_keys(get_cfg_defaults(), cfg)}
        shown = {
            key: value if isinstance(value, bool | int | float) else printable(str(value))
            for key, value in changed.items()
        }
        metrics = {f"best/{name}": best[name] for name in OBJECTIVES if name in best}
        self._writer.add_hparams(shown, metrics, name="hyperparameters", global_step=best["epoch"])


@contextmanager
def open_tensorboard(folder: Path | None, trained_epochs: int) -> Iterator[Tensorboard]:
    """Opens the event files of a folder.

    Args:
        folder: where they go; None writes nothing.
        trained_epochs: later epochs that an interrupted run left there are hidden.
    """
    if folder is None:
        yield Tensorboard(None)
        return
    writer = SummaryWriter(str(folder), purge_step=trained_epochs + 1 if trained_epochs else None)
    try:
        yield Tensorboard(writer)
    finally:
        writer.close()
