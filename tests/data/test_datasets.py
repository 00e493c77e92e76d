"""Data sets: what they hold, how they are split, and what they say when they cannot be used."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from data.build import build_dataset
from tests.conftest import write_pictures


def make_folder(images_per_class=4, classes=("cat", "dog")):
    write_pictures(Path("birds"), classes, images_per_class)
    return load_cfg(None, ["DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "birds"])


def test_digits_are_the_real_ones():
    from sklearn.datasets import load_digits  # here: it takes seconds to import

    real = load_digits()
    data = build_dataset(load_cfg().DATASET)
    assert np.array_equal(data.images, np.round(real.images * 255 / 16)) and np.array_equal(
        data.labels[:, 0], real.target
    )
    assert data.images.shape == (1797, 8, 8)
    assert (data.images.dtype, data.images.max()) == (np.uint8, 255)
    assert data.class_counts == (10,)
    assert data.labels[:3].tolist() == [[0], [1], [2]]


def test_a_folder_of_images():
    data = build_dataset(make_folder().DATASET)
    assert data.classes == {"class": ("cat", "dog")}
    assert data.labels[:, 0].tolist() == [0] * 4 + [1] * 4
    picture = cv2.imread("birds/cat/0.png")[:, :, ::-1]  # RGB
    assert np.array_equal(data.images[0], cv2.resize(picture, (32, 32), interpolation=cv2.INTER_LINEAR))


def test_an_unreadable_image_is_named():
    cfg = make_folder()
    Path("birds/cat/0.png").write_text("no image")
    with pytest.raises(ConfigError, match=r"birds/cat/0\.png: cannot be read as an image"):
        build_dataset(cfg.DATASET).images[0]


def test_a_missing_folder():
    cfg = load_cfg(None, ["DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "nowhere"])
    with pytest.raises(ConfigError, match=r"DATASET.PATH_DATA_RAW: there is no folder .*/nowhere"):
        build_dataset(cfg.DATASET)


def test_one_class_only():
    with pytest.raises(ConfigError, match="holds only the folder cat; expected one folder a class"):
        build_dataset(make_folder(classes=("cat",)).DATASET)


def test_a_class_without_images():
    cfg = make_folder()
    Path("birds/eel").mkdir()
    with pytest.raises(ConfigError, match=r"no images .* in .*birds/eel"):
        build_dataset(cfg.DATASET)
