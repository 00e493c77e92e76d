"""AugMix: what it does to pixels, and that its seed decides alone."""

import numpy as np
import pytest

from configs.loader import load_cfg
from data.augmentation import Augmentation
from data.augmix import OPERATIONS, augmix


@pytest.fixture
def image() -> np.ndarray:
    """A dark bar on a bright ground, in two channels of three."""
    image = np.full((32, 48, 3), 180, np.uint8)
    image[10:20, 5:30, :2] = 40
    return image


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_operation_changes_the_image_and_keeps_its_form(operation, channels, image):
    part = np.ascontiguousarray(image[:, :, :channels])
    changed = operation(part, 0.8, (0,) * channels).reshape(part.shape)
    assert changed.dtype == np.uint8 and not np.array_equal(changed, part)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if "ate" in o.__name__ or "shear" in o.__name__])
def test_geometry_turns_around_the_middle(operation):
    dot = np.zeros((33, 33, 1), np.uint8)
    dot[16, 16] = 255
    moved = operation(dot, 0.3, (0,)).reshape(33, 33)
    expected = {"_translate_x": (16, 19), "_translate_y": (19, 16)}.get(operation.__name__, (16, 16))
    assert np.unravel_index(moved.argmax(), moved.shape) == expected


def test_the_mix_still_shows_the_image(image):
    mixes = [
        augmix(image, np.random.default_rng(seed), width=3, depth=3, severity=3, alpha=1.0, fill=(0, 0, 0))
        for seed in range(30)
    ]
    assert all(mixed.shape == image.shape and mixed.dtype == np.uint8 for mixed in mixes)
    likeness = [np.corrcoef(mixed.ravel(), image.ravel())[0, 1] for mixed in mixes]
    assert 0.5 < np.mean(likeness) < 0.999


def test_without_operations_to_speak_of_the_mix_is_the_image(image, monkeypatch):
    monkeypatch.setattr("data.augmix.OPERATIONS", (lambda image, strength, fill: image,))
    assert np.array_equal(augmix(image, np.random.default_rng(0), 3, 3, 3, 1.0, (0, 0, 0)), image)


def test_severity_makes_it_stronger(image):
    def change(severity: int) -> float:
        mixes = [augmix(image, np.random.default_rng(seed), 3, 3, severity, 1.0, (0, 0, 0)) for seed in range(30)]
        return float(np.mean([np.abs(mixed.astype(int) - image) for mixed in mixes]))

    assert change(1) < change(10)


def test_the_seed_decides(image):
    cfg = load_cfg(None, ["DATASET.AUGMENTATION.AUGMIX.PROB", "0.5", "DATASET.AUGMENTATION.ROTATION_PROB", "0.5"])
    one, other = Augmentation(cfg.DATASET.AUGMENTATION), Augmentation(cfg.DATASET.AUGMENTATION)
    results = [one(image, seed) for seed in range(20)]
    assert all(np.array_equal(result, other(image, seed)) for seed, result in enumerate(results))
    assert len({result.tobytes() for result in results}) > 10


def test_the_chance_of_a_mix(image):
    augment = Augmentation(load_cfg(None, ["DATASET.AUGMENTATION.AUGMIX.PROB", "0.3"]).DATASET.AUGMENTATION)
    changed = sum(not np.array_equal(augment(image, seed), image) for seed in range(300))
    assert 60 < changed < 120  # 90 expected, standard deviation 8


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if "late" in o.__name__ or o.__name__ in ("_rotate", "_shear_x", "_shear_y")]
)
def test_what_comes_in_from_outside(operation):
    white = np.full((20, 24, 3), 250, np.uint8)
    assert (operation(white, 0.9, (250, 250, 250)) == 250).all() and (operation(white, 0.9, None) == 250).all()
    assert (operation(white, 0.9, (1, 2, 3)) == (1, 2, 3)).all(axis=2).any()


def test_augmix_fills_as_the_other_augmentations_do(image):
    mixes = {}
    for fill in ("border", "black"):
        pairs = ["DATASET.AUGMENTATION.AUGMIX.PROB", "1", "DATASET.AUGMENTATION.FILL", fill]
        augmentation = Augmentation(load_cfg(None, pairs).DATASET.AUGMENTATION)
        mixes[fill] = np.mean([augmentation(image, seed)[[0, -1]] for seed in range(30)])
    assert mixes["border"] > mixes["black"] + 5
