"""Serves batches of prepared and augmented images.

What an image looks like depends on (SEED, epoch, index) alone: the number of workers, resuming and what else runs in
the process change nothing.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from yacs.config import CfgNode

from configs.errors import ConfigError
from data.augmentation import Augmentation
from data.image_data import ImageData
from data.preparation import Preparation

Batch = tuple[torch.Tensor, torch.Tensor]
_Item = tuple[int, int]  # (epoch, index of the image)

SHARED = Path("/dev/shm")  # through which batches come from other processes
AHEAD = 2  # batches that each process prepares before they are asked for
PATIENCE = 300.0  # seconds without a batch, after which the processes are given up
NOTICE = 2.0  # seconds in which torch notices that a process has died, once its connection has ended

_WAY_OUT = "lower DATASET.NUM_WORKERS or DATASET.BATCH_SIZE, or give a container more with --shm-size"


class LoaderDiedError(OSError):
    """The processes that prepare images have died, or give nothing any more."""


class Loader:
    """Batches of one data set for one config.

    A batch is a pair: images, uint8 of shape (views * batch, channels, height, width), and labels, int64 of shape
    (batch, tasks).

    Args:
        data: what is served.
        dataset_cfg: how: the DATASET node.
        seed: of order and augmentation.
        with_views: serve the versions of each training image that Augmentation.views gives, all first ones before all
            second ones.
    """

    def __init__(self, data: ImageData, dataset_cfg: CfgNode, seed: int, with_views: bool = False):
        self._data = data
        self._cfg = dataset_cfg
        self._seed = seed
        preparation = Preparation.of(dataset_cfg)
        images: Sequence[np.ndarray]
        if data.is_prepared:
            images = data.images
        elif isinstance(data.images, np.ndarray):  # in memory already: prepared once, not in every epoch
            images = np.stack([preparation(image) for image in data.images])
        else:
            images = _Prepared(data.images, preparation)
        augmentation = Augmentation(dataset_cfg.AUGMENTATION)
        changes = augmentation.views if with_views else augmentation.changed
        augmented = _Images(images, data.labels, None if augmentation.is_off else changes, seed)
        self._epoch_order = _EpochOrder(data.train_indices, seed)
        self._train_images = augmented
        self._train = self._data_loader(augmented, self._epoch_order, len(data.train_indices) > dataset_cfg.BATCH_SIZE)
        views = 3 if with_views and not augmentation.is_off else 1
        batch = min(dataset_cfg.BATCH_SIZE, len(data.train_indices))
        self._check_shared_memory(views * batch * int(np.prod(_shape_of(images, dataset_cfg))))
        in_order = [(0, int(index)) for index in data.val_indices]
        self._val = self._data_loader(_Images(images, data.labels, None, seed), in_order, False)

    def _check_shared_memory(self, batch: int) -> None:
        """Raises ConfigError if batches of so many bytes do not fit: a process that finds no room is never heard of."""
        workers = self._cfg.NUM_WORKERS
        needed = workers * AHEAD * batch
        if workers and SHARED.is_dir() and needed > (free := shutil.disk_usage(SHARED).free):
            raise ConfigError(
                f"{workers} processes keep {needed / 2**20:,.0f} MB of batches in shared memory, "
                f"and {SHARED} has {free / 2**20:,.0f} MB free; {_WAY_OUT}",
                key="DATASET.NUM_WORKERS",
            )

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
            prefetch_factor=AHEAD if workers else None,
            timeout=PATIENCE if workers else 0,
            generator=torch.Generator(),  # of its own: the global one belongs to the model
        )

    @property
    def steps_per_epoch(self) -> int:
        """The number of training batches of an epoch; an incomplete last one is left out, if it is not the only one."""
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


class _Prepared(Sequence[np.ndarray]):
    """Images that are prepared when indexed."""

    def __init__(self, images: Sequence[np.ndarray], preparation: Preparation):
        self._images = images
        self._preparation = preparation

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: Any) -> Any:
        return self._preparation(self._images[index])


class _Images(Dataset[Batch]):
    """Prepared images, augmented or not.

    Args:
        images: uint8 of shape (height, width, channels) each.
        labels: int64 of shape (N, tasks).
        changes: from image and seed, returns a list of one image a view; None changes nothing.
        seed: of the changes.
    """

    def __init__(
        self,
        images: Sequence[np.ndarray],
        labels: np.ndarray,
        changes: Callable[[np.ndarray, int], list[np.ndarray]] | None,
        seed: int,
    ):
        self._images = images
        self._labels = torch.from_numpy(labels)
        self._changes = changes
        self._seed = seed

    def __getstate__(self) -> dict[str, Any]:
        """Worker processes that are not forked open a memory map anew, instead of getting a copy of all images."""
        if isinstance(self._images, np.memmap):
            return {**self.__dict__, "_images": None, "_map": str(self._images.filename)}
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        path = state.pop("_map", None)
        self.__dict__.update(state)
        if path is not None:
            self._images = np.load(path, mmap_mode="r")

    def __getitems__(self, items: Sequence[_Item]) -> Batch:
        """Returns a whole batch at once; DataLoader prefers this to __getitem__."""
        indices = [index for _, index in items]
        if self._changes is not None:
            views = zip(*(self._changed(epoch, index) for epoch, index in items), strict=True)
            pixels = np.stack([image for view in views for image in view])
        elif isinstance(self._images, np.ndarray):
            pixels = np.asarray(self._images[indices])
        else:
            pixels = np.stack([self._images[index] for index in indices])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), self._labels[indices]

    def _changed(self, epoch: int, index: int) -> list[np.ndarray]:
        assert self._changes is not None
        seed = int(np.random.SeedSequence([self._seed, epoch, index]).generate_state(1)[0])
        return self._changes(self._images[index], seed)


def _shape_of(images: Sequence[np.ndarray], dataset_cfg: CfgNode) -> tuple[int, ...]:
    """Returns the shape of a prepared image, as far as it is known without reading one."""
    if isinstance(images, np.ndarray):
        return images.shape[1:]
    return (*dataset_cfg.RESIZE_SHAPE, 3 if dataset_cfg.TO_RGB else 1)


def _died(workers: int, error: Exception) -> LoaderDiedError:
    room = f"{SHARED} has {shutil.disk_usage(SHARED).free / 2**20:,.0f} MB free; " if SHARED.is_dir() else ""
    return LoaderDiedError(
        f"the processes that prepare images (DATASET.NUM_WORKERS {workers}) are gone or give nothing any more: "
        f"{(str(error) or type(error).__name__).splitlines()[0]}; {room}if that is too little, {_WAY_OUT}"
    )


def _batches(loader: DataLoader) -> Iterator[Batch]:
    try:
        yield from loader
    except (RuntimeError, ConnectionError, EOFError) as error:
        if loader.num_workers == 0 or (isinstance(error, RuntimeError) and "DataLoader" not in str(error)):
            raise
        reason: Exception = error
        if not isinstance(error, RuntimeError):  # the connection of a process that died while it handed a batch over
            try:
                time.sleep(NOTICE)
            except RuntimeError as of_signal:  # by which torch tells of the death, whatever is done at that moment
                reason = of_signal
        raise _died(loader.num_workers, reason) from error
    except ConfigError as error:
        if "Traceback (most recent call last)" not in str(error):
            raise
        # torch wraps an error of a worker process in the worker's traceback, whose end is the message
        message = re.split(r"^[\w.]+Error: ", str(error).strip(), flags=re.MULTILINE)[-1]
        raise type(error)(message.splitlines()) from None


def _as_is(batch: Any) -> Any:
    return batch


def to_model_input(images: torch.Tensor, dataset_cfg: CfgNode, device: torch.device) -> torch.Tensor:
    """Moves a batch to the device, normalises it and gives grey images the three channels of TO_RGB.

    Args:
        images: uint8 of shape (batch, channels, height, width).
        dataset_cfg: TO_RGB, and NORMALIZE_MEAN and NORMALIZE_STD for pixels in 0..1.
        device: where the model is.

    Returns:
        float32 of shape (batch, 3 or 1, height, width), contiguous.
    """
    mean = torch.tensor(dataset_cfg.NORMALIZE_MEAN, device=device).view(1, -1, 1, 1)
    std = torch.tensor(dataset_cfg.NORMALIZE_STD, device=device).view(1, -1, 1, 1)
    pixels = images.to(device).contiguous().float().div_(255)
    pixels = pixels.expand(-1, 3, -1, -1).contiguous() if dataset_cfg.TO_RGB else pixels
    return pixels.sub_(mean).div_(std)
