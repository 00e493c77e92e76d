"""What a data set is to the rest of the project, and the registry of data sets."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from configs.errors import ConfigError
from configs.registry import Registry
from data.splits import uneven_classes

# Builders take the DATASET node and return ImageData. They need not import torch.
DATASET_REGISTRY = Registry("data set", "DATASET.NAME")


class DataError(ConfigError):
    """Images that were there are missing, damaged or others: no training can go on with them."""


@dataclass(frozen=True)
class ImageData:
    """Images with one label a task, split into training and validation.

    Attributes:
        images: N images, each uint8 of shape (height, width) or (height, width, 3) in RGB; read when indexed.
        labels: int64 of shape (N, tasks), counted from 0.
        classes: for each task, by name, the names of its classes in the order of their labels.
        train_indices: which images are trained on.
        val_indices: which images are validated on.
        task_weights: weight of each task in the score; equal if empty.
        is_prepared: whether images are a uint8 array (N, height, width, channels) of the form that DATASET asks for.
        notes: what people should know about the images, a line each.
        images_digest: a checksum of the images, where they have no `digest()` of their own.
    """

    images: Sequence[np.ndarray]
    labels: np.ndarray
    classes: dict[str, tuple[str, ...]]
    train_indices: np.ndarray
    val_indices: np.ndarray
    task_weights: tuple[float, ...] = field(default=())
    is_prepared: bool = False
    notes: tuple[str, ...] = ()
    images_digest: str = ""

    @cached_property
    def digest(self) -> str:
        """A checksum of what a training must find again when it goes on: labels, classes, split and images.

        Of images, what their own `digest()` says, where they have one; arrays may be too large to be read for it. Made
        when it is first asked for: files that vanish later do not change it.
        """
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        images_digest = self.images.digest() if hasattr(self.images, "digest") else self.images_digest
        digest.update(images_digest.encode())
        for array in (self.labels, self.train_indices, self.val_indices):
            digest.update(np.ascontiguousarray(array, np.int64).tobytes())
        return digest.hexdigest()

    @property
    def remarks(self) -> list[str]:
        """What people should know: its notes, and which classes are not on both sides of the split."""
        sides = (self.labels[self.train_indices], self.labels[self.val_indices])
        return [*self.notes, *uneven_classes(*sides, self.classes)]

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of classes of each task."""
        return tuple(len(names) for names in self.classes.values())
