"""The embedded data set: the UCI handwritten digits that ship with scikit-learn, 1,797 real 8x8 images."""

import numpy as np
from yacs.config import CfgNode

from data.image_data import DATASET_REGISTRY, ImageData
from data.splits import split


@DATASET_REGISTRY.register("digits")
def build_digits(dataset_cfg: CfgNode) -> ImageData:
    """Reads the digits; needs no files and no network."""
    from sklearn.datasets import load_digits  # here: scikit-learn takes a second to import

    digits = load_digits()
    labels = digits.target.astype(np.int64)[:, None]
    classes = {"digit": tuple(str(name) for name in digits.target_names)}
    train, val = split(labels, classes, dataset_cfg)
    return ImageData(
        images=np.round(digits.images * (255 / 16)).astype(np.uint8),  # the set has grey levels 0..16
        labels=labels,
        classes=classes,
        train_indices=train,
        val_indices=val,
    )
