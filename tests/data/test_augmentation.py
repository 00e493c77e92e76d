"""Each augmentation key changes pixels as it says, and the same seed gives the same image."""

import albumentations as A
import numpy as np
import pytest

import data.augmentation
from configs.loader import load_cfg
from data.augmentation import Augmentation


def test_what_albumentations_only_warns_about_is_an_error(monkeypatch):
    monkeypatch.setattr(data.augmentation, "_transforms", lambda cfg: [A.Rotate(limitt=10)])
    with pytest.raises(UserWarning, match="limitt"):
        Augmentation(load_cfg().DATASET.AUGMENTATION)


def augmentation(**keys: object) -> Augmentation:
    pairs = [text for key, value in keys.items() for text in (f"DATASET.AUGMENTATION.{key}", str(value))]
    return Augmentation(load_cfg(None, pairs).DATASET.AUGMENTATION)


@pytest.fixture
def image() -> np.ndarray:
    """A bright picture that is not symmetric."""
    return np.random.default_rng(0).integers(100, 200, (32, 32, 3), dtype=np.uint8)


PROBABILITIES = (
    "BLURRING_PROB",
    "GAUSS_NOISE_PROB",
    "BRIGHTNESS_CONTRAST_PROB",
    "GRID_DISTORTION_PROB",
    "ROTATION_PROB",
    "HORIZONTAL_FLIP_PROB",
    "CUTOUT_PROB",
    "GRID_MASK_PROB",
)


def test_all_off_by_default():
    assert augmentation().is_off


@pytest.mark.parametrize("key", PROBABILITIES)
def test_each_key_changes_the_image_by_the_seed_alone(key, image):
    augment = augmentation(**{key: 1.0})
    seeds = range(1, 6)
    first = [augment(image, seed) for seed in seeds]
    assert any(not np.array_equal(changed, image) for changed in first)
    assert all(changed.shape == image.shape and changed.dtype == np.uint8 for changed in first)
    again = [augmentation(**{key: 1.0})(image, seed) for seed in seeds]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("key", [key for key in PROBABILITIES if key != "HORIZONTAL_FLIP_PROB"])
def test_another_seed_gives_another_image(key, image):
    augment = augmentation(**{key: 1.0})
    assert len({augment(image, seed).tobytes() for seed in range(8)}) > 1


def test_a_probability_of_one_half_changes_about_half(image):
    augment = augmentation(HORIZONTAL_FLIP_PROB=0.5)
    changed = sum(not np.array_equal(augment(image, seed), image) for seed in range(200))
    assert 70 < changed < 130  # 100 expected, standard deviation 7


def test_flip_mirrors(image):
    assert np.array_equal(augmentation(HORIZONTAL_FLIP_PROB=1)(image, 0), image[:, ::-1])


def test_noise_has_the_variance_that_the_key_says():
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    augment = augmentation(GAUSS_NOISE_PROB=1, GAUSS_VAR_LIMIT=[400, 400])
    variance = np.mean([augment(grey, seed).astype(float).var() for seed in range(20)])
    assert 360 < variance < 440


def test_blur_smooths(image):
    changed = augmentation(BLURRING_PROB=1, BLUR_LIMIT=[5, 7])(image, 3)
    assert changed.astype(float).var() < 0.6 * image.astype(float).var()


def test_cutout_blacks_out_one_rectangle(image):
    black = (augmentation(CUTOUT_PROB=1)(image, 1) == 0).all(axis=2)
    rows, columns = np.flatnonzero(black.any(axis=1)), np.flatnonzero(black.any(axis=0))
    assert black.sum() == len(rows) * len(columns)  # a full rectangle
    assert 0.1 * 32 - 1 <= len(rows) <= 0.3 * 32 + 1
    assert 0.1 * 32 - 1 <= len(columns) <= 0.3 * 32 + 1


def test_grid_mask_blacks_out_several_squares(image):
    black = (augmentation(GRID_MASK_PROB=1)(image, 1) == 0).all(axis=2)
    assert 0.05 < black.mean() < 0.5


def test_rotation_stays_within_its_degrees():
    line = np.zeros((65, 65, 1), dtype=np.uint8)
    line[32, :] = 255
    augment = augmentation(ROTATION_PROB=1, ROTATION_DEGREE=10)
    for seed in range(10):
        rows, columns = np.nonzero(augment(line, seed)[:, :, 0] > 60)
        slope = np.polyfit(columns, rows, 1)[0]
        assert abs(np.degrees(np.arctan(slope))) <= 10.5


def test_brightness_moves_by_at_most_a_fifth():
    grey = np.full((8, 8, 3), 100, dtype=np.uint8)
    augment = augmentation(BRIGHTNESS_CONTRAST_PROB=1)
    means = [augment(grey, seed).mean() for seed in range(50)]
    assert 100 * 0.8 - 51 - 1 <= min(means) < 95 and 105 < max(means) <= 100 * 1.2 + 51 + 1


def test_grey_images_with_one_channel(image):
    pairs = dict.fromkeys(PROBABILITIES, 1.0)
    assert augmentation(**pairs)(image[:, :, :1].copy(), 0).shape == (32, 32, 1)


WHITE_WITH_A_SPOT = np.full((20, 24, 3), 250, np.uint8)
WHITE_WITH_A_SPOT[8:12, 8:14] = (10, 90, 200)
TURNING = ["ROTATION_PROB", "1", "ROTATION_DEGREE", "40"], ["GRID_DISTORTION_PROB", "1"]


def changes(pairs, image, fill):
    pairs = [*pairs, "FILL", fill]
    named = [f"DATASET.AUGMENTATION.{text}" if place % 2 == 0 else text for place, text in enumerate(pairs)]
    augmentation = Augmentation(load_cfg(None, named).DATASET.AUGMENTATION)
    return [augmentation(image, seed) for seed in range(20)]


@pytest.mark.parametrize("pairs", TURNING, ids=["rotation", "grid distortion"])
def test_what_comes_in_from_outside(pairs):
    corners = {}
    for fill in ("border", "reflect", "black", "[1, 2, 3]"):
        images = changes(pairs, WHITE_WITH_A_SPOT, fill)
        corners[fill] = np.concatenate([image[[0, 0, -1, -1], [0, -1, 0, -1]] for image in images])
    assert (corners["border"] == 250).all() and (corners["reflect"] >= 10).all()
    assert (corners["black"] == 0).all(axis=1).any() and (corners["[1, 2, 3]"] == (1, 2, 3)).all(axis=1).any()


def test_grey_images_take_the_grey_of_a_colour():
    grey = np.full((20, 24, 1), 250, np.uint8)
    corners = np.concatenate([i[[0, -1], [0, -1]] for i in changes(TURNING[0], grey, "[255, 0, 0]")])
    assert 76 in corners and set(np.unique(corners)) <= set(range(76, 251))
    assert all((image == 250).all() for image in changes(TURNING[0], grey, "border"))
