"""The embedded data set: the UCI handwritten digits that ship with scikit-learn, 1,797 real 8x8 images."""

import numpy as np
from yacs.config import CfgNode

from data.image_data import DATASET_REGISTRY, ImageData, stratified_split


@DATASET_REGISTRY.register("digits")
def build_digits(dataset_cfg: CfgNode) -> ImageData:
    """Reads the digits; needs no files and no network."""
    from sklearn.datasets import load_digits  # here: scikit-learn takes a second to import

    digits = load_digits()
    names = tuple(str(name) for name in digits.target_names)
    train, val = stratified_split(digits.target, dataset_cfg.VALIDATION_FRACTION, dataset_cfg.SPLIT_SEED, names)
    return ImageData(
        images=np.round(digits.images * (255 / 16)).astype(np.uint8),  # the set has grey levels 0..16
        labels=digits.target.astype(np.int64)[:, None],
        classes={"digit": names},
        train_indices=train,
        val_indices=val,
    )
