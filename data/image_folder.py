"""Anybody's images: one folder a class, as in DATASET.PATH_DATA_RAW/cat/001.jpg."""

from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError
from data.image_data import DATASET_REGISTRY, ImageData
from data.image_files import SUFFIXES, ImageFiles, images_in
from data.splits import split


@DATASET_REGISTRY.register("image_folder")
def build_image_folder(dataset_cfg: CfgNode) -> ImageData:
    """Lists the images of a folder with one subfolder a class.

    Raises:
        ConfigError: the folder is missing, has fewer than two classes, or a class has no images.
    """
    root = Path(dataset_cfg.PATH_DATA_RAW)
    if not root.is_dir():
        raise ConfigError(
            f"DATASET.PATH_DATA_RAW: there is no folder {root}; give the folder that holds one folder of images a class"
        )
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = {f.name: images_in(f) for f in folders}
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        places = ", ".join(str(root / name) for name in empty)
        raise ConfigError(f"DATASET.PATH_DATA_RAW: no images ({', '.join(SUFFIXES)}) in {places}")
    if len(files) < 2:
        found = f"only the folder {folders[0].name}" if folders else "no folders"
        raise ConfigError(f"DATASET.PATH_DATA_RAW: {root} holds {found}; expected one folder a class, two or more")

    classes = {"class": tuple(files)}
    labels = np.repeat(np.arange(len(files), dtype=np.int64), [len(paths) for paths in files.values()])[:, None]
    train, val = split(labels, classes, dataset_cfg)
    return ImageData(
        images=ImageFiles([path for paths in files.values() for path in paths]),
        labels=labels,
        classes=classes,
        train_indices=train,
        val_indices=val,
    )
