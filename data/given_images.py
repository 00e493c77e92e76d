"""Images that a model is used on, one after the other: to predict them, or to evaluate it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, Problems, counted
from data.bengali import read_ids, read_images
from data.image_files import SUFFIXES, Decoder, ImageFiles, UnreadableImageError, notes_on_reading, printable
from data.image_table import read_table, table_images


def is_folder(path: Path) -> bool:
    """Whether images are given as a folder; else they are a table that can be read.

    Raises:
        ConfigError: there is neither.
    """
    if path.is_file():
        if path.suffix.lower() in SUFFIXES:
            raise ConfigError(f"--data: {path} is an image; give the folder it is in, or a .csv or .parquet table")
        read_table(path)
    elif not path.is_dir():
        raise ConfigError(f"--data: there is no {path}; give a folder or a .csv or .parquet table")
    return path.is_dir()


class GivenImages:
    """Images with names, read as the images were that the model was trained on.

    Args:
        dataset_cfg: of the model.
        files: of the images.
        names: of the images.
        note: what was found, a line; may be empty.
        hint: follows what is wrong with an image.

    Attributes:
        names: of the images.
        read: positions of the images that were given so far; those that cannot be read are not among them.
        unreadable: names of images that could not be read, filled while they are read.
        transparent: how many were transparent in places, counted while they are read.
    """

    def __init__(self, dataset_cfg: CfgNode, files: ImageFiles, names: list[str], note: str = "", hint: str = ""):
        self.names = names
        self.read: list[int] = []
        self.unreadable: list[str] = []
        self.transparent = 0
        self._files = files
        self._note = note
        self._hint = hint
        self._background = dataset_cfg.BACKGROUND
        self._skips = dataset_cfg.ON_UNREADABLE == "skip"
        self._inverts = dataset_cfg.NAME == "bengali"  # as its own reader does: the model knows bright ink on black

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Gives name and image, as a data set's raw images.

        Raises:
            ConfigError: images cannot be read, and ON_UNREADABLE is stop; with all of them.
        """
        for position, name in enumerate(self.names):
            try:
                image, is_transparent = self._files.decode(position)
            except UnreadableImageError as error:
                if not self._skips:
                    raise ConfigError(self._all_unreadable(position)) from error
                self.unreadable.append(name)
                continue
            self.transparent += is_transparent
            self.read.append(position)
            yield name, 255 - image if self._inverts else image

    def _all_unreadable(self, first: int) -> Problems:
        """Returns what is wrong with the image at a position and with all that come after it."""
        problems = Problems()
        for position in range(first, len(self._files)):
            try:
                self._files.decode(position)
            except UnreadableImageError as error:
                problems.add(f"--data: {error}{self._hint}")
        problems.add(f"--data: {counted(len(problems), 'image')} cannot be read; --skip-unreadable leaves them out")
        return problems

    def remarks(self) -> list[str]:
        """What people should know of the images, when all have been read."""
        note = [self._note] if self._note else []
        return [*note, *notes_on_reading(self.transparent, self._background, self.unreadable)]


class KaggleImages(GivenImages):
    """Images of Kaggle's parquet files.

    Args:
        dataset_cfg: of the model.
        parts: the files.

    Raises:
        ConfigError: the model was trained on something else.
    """

    def __init__(self, dataset_cfg: CfgNode, parts: list[Path]):
        if dataset_cfg.NAME != "bengali":
            raise ConfigError(
                f"--data: {parts[0].parent} holds Kaggle's graphemes, but the model was trained on "
                f"{dataset_cfg.NAME}; give a folder of images or a table"
            )
        super().__init__(
            dataset_cfg, ImageFiles([], Decoder.of(dataset_cfg)), [name for part in parts for name in read_ids(part)]
        )
        self._parts = parts

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Gives name and image, as a data set's raw images."""
        for part in self._parts:
            for name, image in read_images(part):
                self.read.append(len(self.read))
                yield name, image


def images_of_table(table: object, path: Path, dataset_cfg: CfgNode, note: str = "") -> GivenImages:
    """Returns the images of a table, whose paths start at the table's own folder.

    Args:
        table: from `read_table`.
        path: of the table.
        dataset_cfg: of the model.
        note: what people should know about the images.
    """
    folder = path.absolute().parent  # images lie where the table lies, wherever those of the training were
    column = dataset_cfg.TABLE.IMAGE_COLUMN
    files, names = table_images(table, path, column, folder, dataset_cfg, may_repeat=True)
    hint = f" (paths in the table start at its own folder, {folder})"
    return GivenImages(dataset_cfg, files, [printable(name) for name in names], note, hint)
