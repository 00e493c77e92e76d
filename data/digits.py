"""The embedded data set: the UCI handwritten digits that ship with scikit-learn, 1,797 real 8x8 images."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from data.image_data import DATASET_REGISTRY, ImageData
from data.splits import split

CLASSES = {"digit": tuple(str(digit) for digit in range(10))}


@DATASET_REGISTRY.register("digits")
def build_digits(dataset_cfg: CfgNode) -> ImageData:
    """Reads the digits; needs no network."""
    grey_levels, labels = read_digits()
    train, val = split(labels, CLASSES, dataset_cfg)
    return ImageData(
        images=np.round(grey_levels * (255 / 16)).astype(np.uint8),  # type: ignore[arg-type]
        labels=labels,
        classes=CLASSES,
        train_indices=train,
        val_indices=val,
    )


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns grey levels from 0 to 16, of shape (1797, 8, 8), and labels, of shape (1797, 1).

    The file is read where scikit-learn keeps it: sklearn.datasets takes seconds to import, in each process of a search.
    """
    package = find_spec("sklearn")
    assert package and package.submodule_search_locations
    rows = np.loadtxt(Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz"), delimiter=",")
    return rows[:, :-1].reshape(-1, 8, 8), rows[:, -1:].astype(np.int64)
