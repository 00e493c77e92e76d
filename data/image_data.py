"""What a data set is to the rest of the project, and the registry of data sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from configs.errors import ConfigError
from configs.registry import Registry

# Builders take the DATASET node and return ImageData. They need not import torch.
DATASET_REGISTRY = Registry("data set", "DATASET.NAME")


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
    """

    images: Sequence[np.ndarray]
    labels: np.ndarray
    classes: dict[str, tuple[str, ...]]
    train_indices: np.ndarray
    val_indices: np.ndarray
    task_weights: tuple[float, ...] = field(default=())

    @property
    def class_counts(self) -> tuple[int, ...]:
        """The number of classes of each task."""
        return tuple(len(names) for names in self.classes.values())


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Splits images so that every class has the same share of each part.

    Args:
        labels: int64 of shape (N,).
        fraction: share of the images that go to validation.
        seed: of the choice.
        names: of the classes, for messages.

    Returns:
        Sorted indices of the training and of the validation images.

    Raises:
        ConfigError: a class has too few images to be in both parts.
    """
    from sklearn.model_selection import train_test_split  # here: scikit-learn takes a second to import

    counts = np.bincount(labels, minlength=len(names))
    rare = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < 2]
    if rare:
        raise ConfigError(f"each class needs at least 2 images, one for validation; too few in: {', '.join(rare)}")
    try:
        train, val = train_test_split(np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels)
    except ValueError as error:
        raise ConfigError(
            f"DATASET.VALIDATION_FRACTION: {fraction} of {len(labels)} images cannot hold each of {len(names)} classes "
            f"in both parts ({error}); choose another fraction or add images"
        ) from None
    return np.sort(train), np.sort(val)
