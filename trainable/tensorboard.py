"""What TensorBoard shows of a training."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tensorboardX import SummaryWriter
from tensorboardX.proto.api_pb2 import DataType, Experiment, MetricName, Status
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboardX.proto.summary_pb2 import Summary, SummaryMetadata
from yacs.config import CfgNode

from configs.defaults import get_cfg_defaults
from configs.loader import FREE_ON_RESUME, changed_keys
from configs.metric_names import OBJECTIVES, best_row
from configs.tree import flatten, plain
from data.image_files import printable
from trainable.training import Training

logger = logging.getLogger(__name__)

GRID_IMAGES = 16  # four rows of four
FLUSH = 10  # seconds after which people see what was added


class Tensorboard:
    """Writes metrics, inputs, graph and hyperparameters; without a writer, nothing."""

    def __init__(self, writer: SummaryWriter | None):
        self._writer = writer
        self._best: dict[str, Any] | None = None  # epoch so far

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

    def add_epoch(self, row: dict[str, Any], tasks: Sequence[dict[str, Any]], metric: str) -> None:
        """Adds an epoch, which must come in their order: metrics, named as in metrics.csv, and the best so far.

        Args:
            row: its metrics.
            tasks: its metrics of the tasks.
            metric: by which the best epoch is chosen.
        """
        if self._writer is None:
            return
        self._best = row if self._best is None else best_row(metric, [self._best, row])
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, row["epoch"])
        self._writer.add_scalar(_best(metric), self._best[metric], row["epoch"])
        for of_task in tasks:
            for name in ("acc", "recall"):
                self._writer.add_scalar(f"{of_task['task']}/{name}", of_task[name], row["epoch"])

    def add_hyperparameters(self, values: Mapping[str, Any], metric: str) -> None:
        """Adds a row to the table of hyperparameters, where the best value of the metric so far comes first.

        Args:
            values: of hyperparameters, by key; None: this training has none. TensorBoard shows the columns of the
                first training that it finds, so that those of one search all name the same.
            metric: by which the trainings are compared.
        """
        if self._writer is None:
            return
        experiment, start = Experiment(), SessionStartInfo()
        for key, value in values.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            experiment.hparam_infos.add(
                name=key, type=DataType.Value(f"DATA_TYPE_{'FLOAT64' if is_number else 'STRING'}")
            )
            if is_number:
                start.hparams[key].number_value = value
            elif value is not None:
                start.hparams[key].string_value = printable(str(value))
        for name in (_best(metric), metric, *(name for name in OBJECTIVES if name != metric)):
            experiment.metric_infos.add(name=MetricName(tag=name))
        self._add_to_table("experiment", HParamsPluginData(experiment=experiment))
        self._add_to_table("session_start_info", HParamsPluginData(session_start_info=start))

    def end(self) -> None:
        """Says in the table that the training has ended, or waits."""
        end = SessionEndInfo(status=Status.Value("STATUS_SUCCESS"))
        self._add_to_table("session_end_info", HParamsPluginData(session_end_info=end))

    def _add_to_table(self, tag: str, content: HParamsPluginData) -> None:
        assert self._writer is not None
        plugin = SummaryMetadata.PluginData(plugin_name="hparams", content=content.SerializeToString())
        value = Summary.Value(tag=f"_hparams_/{tag}", metadata=SummaryMetadata(plugin_data=plugin))
        self._writer.file_writer.add_summary(Summary(value=[value]))


def _best(metric: str) -> str:
    return f"best/{metric}"


def hyperparameters_of(cfg: CfgNode) -> dict[str, Any]:
    """Returns what a config changes of the defaults, by key, but for what changes no number."""
    values = flatten(cfg)
    return {key: plain(values[key]) for key in changed_keys(get_cfg_defaults(), cfg, FREE_ON_RESUME)}


@contextmanager
def open_tensorboard(folder: Path | None) -> Iterator[Tensorboard]:
    """Opens a new event file in a folder, in which epochs are written that older files may lack, and hides theirs.

    Args:
        folder: where it goes; None writes nothing.
    """
    if folder is None:
        yield Tensorboard(None)
        return
    writer = SummaryWriter(str(folder), purge_step=1, flush_secs=FLUSH)
    tensorboard = Tensorboard(writer)
    try:
        yield tensorboard
    finally:
        tensorboard.end()
        writer.close()
