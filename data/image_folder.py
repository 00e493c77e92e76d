"""Anybody's images: one folder a class, as in DATASET.PATH_DATA_RAW/cat/001.jpg."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError
from data.image_data import DATASET_REGISTRY, ImageData, stratified_split

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class ImageFiles(Sequence[np.ndarray]):
    """Image files, read when indexed as uint8 of shape (height, width, 3) in RGB."""

    def __init__(self, paths: Sequence[Path]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        import cv2

        image = cv2.imread(str(self.paths[index]), cv2.IMREAD_COLOR)
        if image is None:
            raise ConfigError(f"{self.paths[index]}: cannot be read as an image; remove or replace it")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


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
    files = {f.name: _images_in(f) for f in folders}
    empty = [name for name, paths in files.items() if not paths]
    if empty:
        places = ", ".join(str(root / name) for name in empty)
        raise ConfigError(f"DATASET.PATH_DATA_RAW: no images ({', '.join(SUFFIXES)}) in {places}")
    if len(files) < 2:
        found = f"only the folder {folders[0].name}" if folders else "no folders"
        raise ConfigError(f"DATASET.PATH_DATA_RAW: {root} holds {found}; expected one folder a class, two or more")

    names = tuple(files)
    labels = np.repeat(np.arange(len(names), dtype=np.int64), [len(paths) for paths in files.values()])
    train, val = stratified_split(labels, dataset_cfg.VALIDATION_FRACTION, dataset_cfg.SPLIT_SEED, names)
    return ImageData(
        images=ImageFiles([path for paths in files.values() for path in paths]),
        labels=labels[:, None],
        classes={"class": names},
        train_indices=train,
        val_indices=val,
    )


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
