"""What a data set with raw images to process is, and the registry of those."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from configs.registry import Registry
from data.splits import Classes


class RawData(Protocol):
    """A data set as it came, which `make_dataset` can process.

    Attributes:
        name: what the processed data is named by.
        files: what the processed data is made from; it is stale when their sizes or dates change.
        options: settings, by key, that decide about images or labels beside the preparation; a change makes stale.
        is_grey: whether all images have one channel.
        task_weights: of the tasks in the score; equal if empty.
    """

    name: str
    files: list[Path]
    options: dict[str, Any]
    is_grey: bool
    task_weights: tuple[float, ...]

    def check(self) -> None:
        """Raises ConfigError if the raw data is missing."""

    def read(self) -> "RawImages":
        """Reads and checks everything but the pixels."""


@dataclass(frozen=True)
class RawImages:
    """Raw images with their labels.

    Attributes:
        ids: a name for each of N images, each different.
        labels: int64 of shape (N, tasks).
        classes: for each task, by name, the names of its classes.
        images: gives each image with its position once, in any order, as uint8 of shape (height, width) or (height,
            width, 3); None for an image that is to be left out.
    """

    ids: list[str]
    labels: np.ndarray
    classes: Classes
    images: Callable[[], Iterator[tuple[int, np.ndarray | None]]]


# Builders take the DATASET node and return RawData; they do not read it yet.
RAW_DATA_REGISTRY = Registry("data set with raw images to process", "DATASET.NAME")
