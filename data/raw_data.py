"""What a data set with raw images to process is, and the registry of those."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from yacs.config import CfgNode

from configs.registry import Registry
from data.image_files import ImageFiles
from data.splits import Classes, SplitConstraints


class RawData(Protocol):
    """A data set as it came, which `make_dataset` can process.

    Attributes:
        name: what the processed data is named by.
        options: settings, by key, that decide about images or labels beside the preparation; other ones make other
            processed data.
        is_grey: whether all images have one channel.
        task_weights: of the tasks in the score; equal if empty.
    """

    name: str
    options: dict[str, Any]
    is_grey: bool
    task_weights: tuple[float, ...]

    @property
    def files(self) -> list[Path]:
        """What the processed data is made from, as far as it is there: it is stale when sizes or dates change."""

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
        images: files of images; or what gives each image with its position once, in any order, as uint8 of shape
            (height, width) or (height, width, 3), None for an image that is to be left out.
        constraints: what the data says about the split.
        notes: what people should know about the images, a line each.
        digest: returns a checksum of the images; an empty one lets a training go on with others of these names.
    """

    ids: list[str]
    labels: np.ndarray
    classes: Classes
    images: ImageFiles | Callable[[], Iterator[tuple[int, np.ndarray | None]]]
    constraints: SplitConstraints = field(default_factory=SplitConstraints)
    notes: tuple[str, ...] = ()
    digest: Callable[[], str] = str


def reading_options(dataset_cfg: CfgNode) -> dict[str, Any]:
    """Returns the options of data sets that read files of images, by key."""
    return {f"DATASET.{name}": dataset_cfg[name] for name in ("ON_UNREADABLE", "BACKGROUND", "MAX_PIXELS")}


# Builders take the DATASET node and return RawData; they do not read it yet.
RAW_DATA_REGISTRY = Registry("data set with raw images to process", "DATASET.NAME")
