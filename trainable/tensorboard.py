"""Metrics for TensorBoard."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter


class Tensorboard:
    """Writes an epoch's metrics as scalars; without a writer, nowhere."""

    def __init__(self, writer: SummaryWriter | None):
        self._writer = writer

    def add_metrics(self, row: dict[str, Any]) -> None:
        """Adds the metrics of one epoch, named as in metrics.csv."""
        if self._writer:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, row["epoch"])


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
