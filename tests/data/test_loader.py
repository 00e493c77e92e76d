"""Batches: prepared, augmented by (seed, epoch, index) alone, mixed."""

import os
import signal
import time
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from configs.errors import ConfigError
from configs.loader import load_cfg
from data.build import build_dataset
from data.image_data import ImageData
from data.loader import Loader, LoaderDiedError, to_model_input
from data.mixing import Mixing

AUGMENTED = ["DATASET.AUGMENTATION.ROTATION_PROB", "0.7", "DATASET.AUGMENTATION.GAUSS_NOISE_PROB", "0.7"]


def loader(*pairs: str, seed: int = 0, batch_size: int = 50) -> Loader:
    cfg = load_cfg(None, ["DATASET.VALIDATION_FRACTION", "0.9", "DATASET.BATCH_SIZE", str(batch_size), *pairs]).DATASET
    return Loader(build_dataset(cfg), cfg, seed)


def epoch_of(batches) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def test_batches_have_the_documented_shapes():
    images, labels = next(loader().train_batches(1))
    assert (images.shape, images.dtype) == ((50, 1, 32, 32), torch.uint8)  # grey until the model
    assert (labels.shape, labels.dtype) == ((50, 1), torch.int64)
    assert loader().steps_per_epoch == 3  # 179 images: an incomplete batch is left out
    assert len(epoch_of(loader().val_batches())[0]) == 1618


def test_a_set_smaller_than_a_batch_is_one_batch():
    assert loader(batch_size=500).steps_per_epoch == 1


def test_epochs_differ_and_repeat_by_the_seed():
    first, second = epoch_of(loader(*AUGMENTED).train_batches(1)), epoch_of(loader(*AUGMENTED).train_batches(2))
    again = epoch_of(loader(*AUGMENTED).train_batches(1))
    other = epoch_of(loader(*AUGMENTED, seed=1).train_batches(1))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], second[0])
    assert not torch.equal(first[0], other[0])


class _Unusable:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        raise ConfigError(["one problem", "and another"])


@pytest.mark.parametrize("workers", [0, 1])
def test_all_problems_of_an_image_are_told(workers):
    cfg = load_cfg(None, ["DATASET.NUM_WORKERS", str(workers)]).DATASET
    four = np.arange(4)
    data = ImageData(_Unusable(), four[:, None] % 2, {"digit": ("0", "1")}, four[:2], four[2:])
    with pytest.raises(ConfigError) as caught:
        next(Loader(data, cfg, seed=0).val_batches())
    assert [*map(str, caught.value.problems)] == ["one problem", "and another"]


def test_workers_change_nothing():
    alone = loader(*AUGMENTED)
    helped = loader(*AUGMENTED, "DATASET.NUM_WORKERS", "2")
    for epoch in (1, 2):
        expected, got = epoch_of(alone.train_batches(epoch)), epoch_of(helped.train_batches(epoch))
        assert torch.equal(expected[0], got[0]) and torch.equal(expected[1], got[1])


def test_loading_leaves_the_models_random_numbers_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(loader(*AUGMENTED).train_batches(1))
    assert torch.equal(before, torch.get_rng_state())


def test_validation_images_are_never_augmented():
    assert torch.equal(epoch_of(loader(*AUGMENTED).val_batches())[0], epoch_of(loader().val_batches())[0])


def test_normalisation():
    cfg = load_cfg(None, ["DATASET.NORMALIZE_MEAN", "[0.5, 0, 1]", "DATASET.NORMALIZE_STD", "[0.25]"]).DATASET
    out = to_model_input(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8), cfg, torch.device("cpu"))
    assert out.flatten().tolist() == [2.0, 4.0, 0.0]


def test_grey_images_get_three_channels_at_the_end():
    cfg = load_cfg(None, ["DATASET.NORMALIZE_MEAN", "[0.5, 0, 1]", "DATASET.NORMALIZE_STD", "[0.25]"]).DATASET
    out = to_model_input(torch.full((2, 1, 4, 4), 255, dtype=torch.uint8), cfg, torch.device("cpu"))
    assert out.shape == (2, 3, 4, 4) and out.is_contiguous()
    assert out[1, :, 0, 0].tolist() == [2.0, 4.0, 0.0]


def test_views_come_one_after_the_other():
    cfg = load_cfg(None, ["DATASET.AUGMENTATION.AUGMIX.PROB", "1", "DATASET.BATCH_SIZE", "20"]).DATASET
    data = build_dataset(cfg)
    images, labels = next(Loader(data, cfg, seed=0, with_views=True).train_batches(1))
    plain, plain_labels = next(Loader(data, load_cfg(None, ["DATASET.BATCH_SIZE", "20"]).DATASET, 0).train_batches(1))
    assert (images.shape, labels.shape) == ((60, 1, 32, 32), (20, 1))
    assert torch.equal(images[:20], plain) and torch.equal(labels, plain_labels)
    for first, second, third in zip(images[:20], images[20:40], images[40:], strict=True):
        assert not torch.equal(first, second) and not torch.equal(second, third)


def mixing(*pairs: str) -> Mixing:
    return Mixing(load_cfg(None, list(pairs)).DATASET.AUGMENTATION, seed=0)


def test_mixing_is_off_by_default():
    images = torch.rand(4, 1, 8, 8)
    mixed, _, own = mixing()(images, 1, 0)
    assert own == 1.0 and torch.equal(mixed, images)


def test_mixup_blends_images_by_the_weight_of_their_labels():
    images = torch.rand(4, 1, 8, 8)
    mixed, partners, own = mixing("DATASET.AUGMENTATION.MIXUP_ALPHA", "0.4")(images, 1, 0)
    assert 0 < own < 1
    assert torch.allclose(mixed, own * images + (1 - own) * images[partners])


@pytest.mark.parametrize("step", range(5))
def test_cutmix_pastes_a_rectangle_whose_area_is_the_partners_weight(step):
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 16, 16)
    mix = mixing("DATASET.AUGMENTATION.CUTMIX_ALPHA", "1", "DATASET.AUGMENTATION.CUTMIX_PROB", "1")
    mixed, partners, own = mix(images, 1, step)
    for index, partner in enumerate(partners.tolist()):
        if partner != index:
            assert (mixed[index] == partner).float().mean().item() == pytest.approx(1 - own)


class StuckImages(Sequence):
    """Images of which one is never read to its end."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index == 7:
            time.sleep(600)
        return np.zeros((8, 8, 3), np.uint8)


def loader_of(images, *pairs: str) -> Loader:
    given = {"NUM_WORKERS": "2", "RESIZE_SHAPE": "[8, 8]", **dict(zip(pairs[::2], pairs[1::2], strict=True))}
    cfg = load_cfg(None, [text for key, value in given.items() for text in (f"DATASET.{key}", value)]).DATASET
    everything = np.arange(len(images))
    labels = np.zeros((len(images), 1), np.int64)
    return Loader(ImageData(images, labels, {"a": ("x", "y")}, everything, everything[:2]), cfg, seed=0)


def test_processes_that_hang_are_given_up(monkeypatch):
    monkeypatch.setattr("data.loader.PATIENCE", 1.5)
    with pytest.raises(LoaderDiedError, match=r"NUM_WORKERS 2\) are gone or give nothing any more: .*timed out"):
        list(loader_of(StuckImages(), "BATCH_SIZE", "4").train_batches(1))


class DeadlyImages(Sequence):
    """Images of which one kills the process that reads it."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        if index == 7 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros((8, 8, 3), np.uint8)


def test_a_process_that_is_killed_is_told():
    with pytest.raises(LoaderDiedError, match=r"NUM_WORKERS 2.* are gone or give nothing any more: "):
        list(loader_of(DeadlyImages(), "BATCH_SIZE", "4").train_batches(1))


def test_too_little_shared_memory_is_told_before_anything_waits_for_it(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=2**20))
    images = np.zeros((5000, 8, 8, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"NUM_WORKERS: 2 processes keep 3 MB of batches in shared memory"):
        loader_of(images, "BATCH_SIZE", "4096")
    loader_of(images, "BATCH_SIZE", "1024")
    loader_of(images, "BATCH_SIZE", "4096", "NUM_WORKERS", "0")
