"""Anybody's images: one folder a class, as in DATASET.PATH_DATA_RAW/cat/001.jpg."""

import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, counted, did_you_mean, few
from configs.files import shown_path
from data.image_data import DATASET_REGISTRY, ImageData
from data.image_files import (
    SUFFIXES,
    Decoder,
    FoundImages,
    ImageFiles,
    described,
    images_as_in_0_1,
    images_in,
    printable,
)
from data.processed import ProcessedData
from data.raw_data import RAW_DATA_REGISTRY, RawImages, reading_options
from data.splits import SplitConstraints


@DATASET_REGISTRY.register("image_folder")
def build_image_folder(dataset_cfg: CfgNode) -> ImageData:
    """Opens the processed images of a folder with one subfolder a class; makes them first where that is not done.

    Raises:
        ConfigError: the folder is missing, has fewer than two classes, or a class has no images.
    """
    return ProcessedData(dataset_cfg, FolderRaw(dataset_cfg)).opened()


@RAW_DATA_REGISTRY.register("image_folder")
class FolderRaw:
    """The images below DATASET.PATH_DATA_RAW, and below PATH_VALIDATION where that is given."""

    is_grey = False
    task_weights: tuple[float, ...] = ()

    def __init__(self, dataset_cfg: CfgNode):
        self._root = Path(dataset_cfg.PATH_DATA_RAW)
        self._validation = Path(dataset_cfg.PATH_VALIDATION) if dataset_cfg.PATH_VALIDATION else None
        self._processed = Path(dataset_cfg.PATH_DATA_PROCESSED)
        self._list = images_in if dataset_cfg.FOLDER_FILES == "visible" else images_as_in_0_1
        self._decoder = Decoder.of(dataset_cfg)
        self.name = f"image_folder-{printable(self._root.name)}"
        self.options: dict[str, Any] = {
            "DATASET.PATH_VALIDATION": dataset_cfg.PATH_VALIDATION,
            "DATASET.FOLDER_FILES": dataset_cfg.FOLDER_FILES,
            **reading_options(dataset_cfg),
        }

    @property
    def files(self) -> list[Path]:
        """All images; none if the folder is gone."""
        if not self._root.is_dir():
            return []
        return [file for found in (self._trained, self._validated) for one in found.values() for file in one.files]

    def check(self) -> None:
        """Raises ConfigError if images are missing."""
        self.read()

    @cached_property
    def _trained(self) -> dict[str, FoundImages]:
        return self._images_of_classes(self._root)

    @cached_property
    def _validated(self) -> dict[str, FoundImages]:
        return self._images_of_classes(self._validation) if self._validation and self._validation.is_dir() else {}

    def _images_of_classes(self, root: Path) -> dict[str, FoundImages]:
        return {folder.name: self._list(folder) for folder in class_folders(root)[0]}

    def read(self) -> RawImages:
        """Lists the images.

        Raises:
            ConfigError: a folder is missing, there are fewer than two classes, or a class has no images.
        """
        _check_folder(self._root, "DATASET.PATH_DATA_RAW")
        self._check_places()
        classes = list(self._trained)
        if len(classes) < 2:
            raise ConfigError(_too_few_classes(self._root, classes))
        _check_filled(self._root, "DATASET.PATH_DATA_RAW", self._trained)
        labels = [number for number, found in enumerate(self._trained.values()) for _ in found.files]
        is_validation = None
        if self._validation:
            trained = len(labels)
            labels += [number for number, found in self._numbered_validation(classes) for _ in found.files]
            is_validation = np.arange(len(labels)) >= trained
        files = self.files
        images = ImageFiles(files, self._decoder)
        names = tuple(printable(name) for name in classes)
        return RawImages(
            ids=[printable(os.path.relpath(file, self._root)) for file in files],
            labels=np.array(labels, np.int64)[:, None],
            classes={"class": names},
            images=images,
            constraints=SplitConstraints(is_validation=is_validation),
            notes=(self._note(len(labels), len(names)), *self._note_on_depth()),
            digest=images.digest,
        )

    def _check_places(self) -> None:
        """Raises ConfigError if a folder of other purpose would be read as a class, or as images of one."""
        places = {"DATASET.PATH_DATA_PROCESSED": self._processed, "DATASET.PATH_VALIDATION": self._validation}
        for key, path in places.items():
            if path and _is_within(path, self._root):
                raise ConfigError(
                    f"{path} lies in DATASET.PATH_DATA_RAW {self._root}, whose folders are classes; give another",
                    key=key,
                )
        if self._validation and _is_within(self._root, self._validation):
            raise ConfigError(
                f"{self._root} lies in DATASET.PATH_VALIDATION {self._validation}, whose "
                "folders are classes; give another",
                key="DATASET.PATH_DATA_RAW",
            )

    def _numbered_validation(self, classes: list[str]) -> list[tuple[int, FoundImages]]:
        """Returns the validation images of each class, with its number among those that are trained on."""
        assert self._validation is not None
        key = "DATASET.PATH_VALIDATION"
        _check_folder(self._validation, key)
        unknown = [name for name in self._validated if name not in classes]
        if unknown:
            raise ConfigError(
                f"{self._validation} has folders that {self._root} has not: "
                f"{few([printable(name) for name in unknown])}.{did_you_mean(unknown[0], classes)} What is validated "
                "on must be trained on",
                key=key,
            )
        _check_filled(self._validation, key, self._validated)
        if not self._validated:
            raise ConfigError(
                f"{self._validation} holds no folders; expected one folder a class, as in {self._root}", key=key
            )
        return [(classes.index(name), found) for name, found in self._validated.items()]

    def _note(self, images: int, classes: int) -> str:
        left_out: Counter[str] = Counter()
        for root in filter(None, (self._root, self._validation)):
            left_out.update(class_folders(root)[1])
        for found in (*self._trained.values(), *self._validated.values()):
            left_out.update(found.left_out)
        return described(f"{counted(images, 'image')} of {classes} classes", left_out)

    def _note_on_depth(self) -> list[str]:
        """Returns a note where no folder of a class holds an image itself: they may be folders of data sets."""
        if any(file.parent == self._root / name for name, found in self._trained.items() for file in found.files):
            return []
        first = printable(shown_path(self._root / next(iter(self._trained))))
        return [
            f"the classes are {few([printable(name) for name in self._trained])}; none holds images itself, only "
            f"folders of images. If those are the classes, give DATASET.PATH_DATA_RAW {first}"
        ]


def class_folders(root: Path) -> tuple[list[Path], Counter[str]]:
    """Returns the folders of classes, sorted, and how much of what lies beside them is none, by what it is."""
    folders: list[Path] = []
    beside: Counter[str] = Counter()
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            beside["hidden folder" if path.is_dir() else "hidden file"] += 1
        elif not path.is_dir():
            beside["loose file"] += 1
        elif _is_within(root, path):
            beside["circular link"] += 1
        else:
            folders.append(path)
    return folders, beside


def _is_within(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, wherever links lead."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _check_folder(root: Path, key: str) -> None:
    if not root.is_dir():
        raise ConfigError(
            f"there is no folder {root}; give the folder that holds one folder of images a class", key=key
        )


def _check_filled(root: Path, key: str, found: dict[str, FoundImages]) -> None:
    empty = [name for name, one in found.items() if not one.files]
    if empty:
        places = ", ".join(printable(str(root / name)) for name in empty)
        raise ConfigError(
            f"no images ({', '.join(SUFFIXES)}) in {places}; put some there, or remove what is empty", key=key
        )


def _too_few_classes(root: Path, classes: list[str]) -> str:
    found = f"only the folder {printable(classes[0])}" if classes else "no folders"
    return f"DATASET.PATH_DATA_RAW: {root} holds {found}; expected one folder a class, two or more"
