"""Serves batches of prepared and augmented images.

What an image looks like depends on (SEED, epoch, index) alone: the number of workers, resuming and what else runs in
the process change nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from yacs.config import CfgNode

from configs.errors import ConfigError
from data.augmentation import Augmentation
from data.image_data import ImageData

Batch = tuple[torch.Tensor, torch.Tensor]
_Item = tuple[int, int]  # (epoch, index of the image)


def prepare(image: np.ndarray, shape: tuple[int, int], to_rgb: bool) -> np.ndarray:
    """Gives an image the size and the channels that the model takes.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3).
        shape: height and width, in pixels.
        to_rgb: whether the result has three channels or one.

    Returns:
        uint8 of shape (height, width, channels).
    """
    if to_rgb and image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    elif not to_rgb and image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = shape
    if image.shape[:2] != shape:
        is_smaller = height * width < image.shape[0] * image.shape[1]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
    return image if image.ndim == 3 else image[:, :, None]


class Loader:
    """Batches of one data set for one config.

    A batch is a pair: images, uint8 of shape (batch, channels, height, width), and labels, int64 of shape
    (batch, tasks).
    """

    def __init__(self, data: ImageData, dataset_cfg: CfgNode, seed: int):
        self._data = data
        self._cfg = dataset_cfg
        self._seed = seed
        images: Sequence[np.ndarray] = data.images
        if isinstance(images, np.ndarray):  # small enough to be in memory: prepared once, not in every epoch
            images = np.stack([prepare(image, dataset_cfg.RESIZE_SHAPE, dataset_cfg.TO_RGB) for image in images])
        augmentation = Augmentation(dataset_cfg.AUGMENTATION)
        augmented = _Images(images, data.labels, dataset_cfg, None if augmentation.is_off else augmentation, seed)
        self._epoch_order = _EpochOrder(data.train_indices, seed)
        self._train_images = augmented
        self._train = self._data_loader(augmented, self._epoch_order, len(data.train_indices) > dataset_cfg.BATCH_SIZE)
        in_order = [(0, int(index)) for index in data.val_indices]
        self._val = self._data_loader(_Images(images, data.labels, dataset_cfg, None, seed), in_order, False)

    def _data_loader(self, images: "_Images", order: "Sampler[_Item] | list[_Item]", drop_last: bool) -> DataLoader:
        workers = self._cfg.NUM_WORKERS
        return DataLoader(
            images,
            batch_size=self._cfg.BATCH_SIZE,
            sampler=order,  # any iterable with a length serves
            num_workers=workers,
            collate_fn=_as_is,
            drop_last=drop_last,
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # of its own: the global one belongs to the model
        )

    @property
    def steps_per_epoch(self) -> int:
        """The number of training batches of an epoch; an incomplete last one is left out."""
        return len(self._train)

    def sample(self, size: int) -> Batch:
        """The first training images of epoch 1, prepared and augmented in this process."""
        order = iter(_EpochOrder(self._data.train_indices, self._seed))
        return self._train_images.__getitems__([item for item, _ in zip(order, range(size), strict=False)])

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """The training images in the random order of this epoch, augmented."""
        self._epoch_order.epoch = epoch
        return _batches(self._train)

    def val_batches(self) -> Iterator[Batch]:
        """The validation images in their order, as they are."""
        return _batches(self._val)


class _EpochOrder(Sampler[_Item]):
    """The training images in a random order that depends on (seed, epoch) alone."""

    def __init__(self, indices: np.ndarray, seed: int):
        self.epoch = 1
        self._indices = indices
        self._seed = seed

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[_Item]:
        order = np.random.default_rng([self._seed, self.epoch]).permutation(self._indices)
        return iter([(self.epoch, int(index)) for index in order])


class _Images(Dataset[Batch]):
    def __init__(
        self,
        images: Sequence[np.ndarray],
        labels: np.ndarray,
        dataset_cfg: CfgNode,
        augmentation: Augmentation | None,
        seed: int,
    ):
        self._images = images
        self._labels = torch.from_numpy(labels)
        self._shape = tuple(dataset_cfg.RESIZE_SHAPE)
        self._to_rgb = dataset_cfg.TO_RGB
        self._augmentation = augmentation
        self._seed = seed

    def __getitems__(self, items: Sequence[_Item]) -> Batch:
        """Returns a whole batch at once; DataLoader prefers this to __getitem__."""
        indices = [index for _, index in items]
        if isinstance(self._images, np.ndarray) and self._augmentation is None:
            pixels = self._images[indices]
        else:
            pixels = np.stack([self._image(epoch, index) for epoch, index in items])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), self._labels[indices]

    def _image(self, epoch: int, index: int) -> np.ndarray:
        image = self._images[index]
        if not isinstance(self._images, np.ndarray):
            image = prepare(image, self._shape, self._to_rgb)
        if self._augmentation is None:
            return image
        seed = int(np.random.SeedSequence([self._seed, epoch, index]).generate_state(1)[0])
        return self._augmentation(image, seed)


def _batches(loader: DataLoader) -> Iterator[Batch]:
    try:
        yield from loader
    except ConfigError as error:  # torch wraps those of a worker process in the worker's traceback
        raise ConfigError(str(error).strip().splitlines()[-1].split("ConfigError: ")[-1]) from None


def _as_is(batch: Any) -> Any:
    return batch


def to_model_input(images: torch.Tensor, dataset_cfg: CfgNode, device: torch.device) -> torch.Tensor:
    """Moves a batch to the device and normalises it.

    Args:
        images: uint8 of shape (batch, channels, height, width).
        dataset_cfg: NORMALIZE_MEAN and NORMALIZE_STD, for pixels in 0..1.
        device: where the model is.

    Returns:
        float32 of the same shape, contiguous.
    """
    mean = torch.tensor(dataset_cfg.NORMALIZE_MEAN, device=device).view(1, -1, 1, 1)
    std = torch.tensor(dataset_cfg.NORMALIZE_STD, device=device).view(1, -1, 1, 1)
    return (images.to(device).contiguous().float() / 255 - mean) / std
