"""Images to predict: Kaggle's test files, a table, or a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, few
from data.bengali import part_files, read_ids, read_images
from data.image_files import SUFFIXES, Decoder, ImageFiles, UnreadableImageError, described, images_in, printable
from data.image_table import read_table, table_images


@dataclass(frozen=True)
class Submission:
    """The rows that Kaggle wants.

    Attributes:
        row_ids: in the order of sample_submission.csv.
        images: the image_id of each row.
        tasks: the task of each row.
    """

    row_ids: list[str]
    images: list[str]
    tasks: list[str]


def check_source(path: Path) -> None:
    """Tells what can be told without a model.

    Raises:
        ConfigError: there is nothing to predict at this path.
    """
    if path.is_file():
        read_table(path)
    elif not path.is_dir():
        raise ConfigError(f"--data: there is no {path}; give a folder or a .csv or .parquet table")
    elif (path / "test.csv").is_file() or part_files(path, "test"):
        _read_wanted(path)
    elif not images_in(path).files:
        raise ConfigError(
            f"--data: {path} holds no images ({', '.join(SUFFIXES)}) and no test.csv with test_image_data_*.parquet"
        )


class UnlabelledImages:
    """Images with names and without labels.

    Args:
        path: a folder with Kaggle's test files, a .csv or .parquet table, or a folder of images; see `check_source`.
        dataset_cfg: of the model: how images are read.

    Attributes:
        names: of the images.
        submission: what Kaggle wants, None for images of other origin.
        unreadable: names of images that could not be read, filled while they are read.
        transparent: how many were transparent in places, counted while they are read.
        note: what was found in a folder, empty for images of other origin.

    Raises:
        ConfigError: files are missing or do not fit together.
    """

    def __init__(self, path: Path, dataset_cfg: CfgNode):
        self._parts: list[Path] = []
        decoder = Decoder.of(dataset_cfg)
        self._files = ImageFiles([], decoder)
        self._background = f"DATASET.BACKGROUND {list(dataset_cfg.BACKGROUND or ())}"
        self._skips = dataset_cfg.ON_UNREADABLE == "skip"
        self._inverts = dataset_cfg.NAME == "bengali"  # as its own reader does: the model knows bright ink on black
        self._where_paths_start = ""
        self.submission: Submission | None = None
        self.unreadable: list[str] = []
        self.transparent = 0
        self.note = ""
        if path.is_file():
            # images lie where the table lies, wherever those of the training were
            self._where_paths_start = f" (paths in the table start at its own folder, {path.absolute().parent})"
            column = dataset_cfg.TABLE.IMAGE_COLUMN
            self._files, names = table_images(
                read_table(path), path, column, path.absolute().parent, decoder, may_repeat=True
            )
            self.names = [printable(name) for name in names]
        elif (path / "test.csv").is_file() or part_files(path, "test"):
            if dataset_cfg.NAME != "bengali":
                raise ConfigError(
                    f"--data: {path} holds Kaggle's graphemes, but the model was trained on {dataset_cfg.NAME}; give a "
                    "folder of images or a table"
                )
            self._parts = part_files(path, "test")
            self.names = [name for part in self._parts for name in read_ids(part)]
            self.submission = _read_submission(path, set(self.names))
        else:
            found = images_in(path)
            self._files = ImageFiles(found.files, decoder)
            self.names = [printable(str(file.relative_to(path))) for file in found.files]
            self.note = "; ".join(filter(None, (f"{len(found.files):,} images", described(found.left_out))))

    def remarks(self) -> list[str]:
        """What people should know of the images, when all have been read."""
        lines = [self.note] if self.note else []
        if self.transparent:
            lines.append(f"{self.transparent} images are transparent in places; they were shown on {self._background}")
        if self.unreadable:
            lines.append(f"left out {len(self.unreadable)} images that cannot be read: {few(self.unreadable)}")
        return lines

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Gives name and image, as a data set's raw images.

        Raises:
            ConfigError: images cannot be read, and ON_UNREADABLE is stop; with all of them.
        """
        for part in self._parts:
            yield from read_images(part)
        for position, name in enumerate(self.names if not self._parts else ()):
            try:
                image, is_transparent = self._files.decode(position)
            except UnreadableImageError as error:
                if not self._skips:
                    raise ConfigError(self._all_unreadable(position)) from error
                self.unreadable.append(name)
                continue
            self.transparent += is_transparent
            yield name, 255 - image if self._inverts else image

    def _all_unreadable(self, first: int) -> list[str]:
        """Returns what is wrong with the image at a position and with all that come after it."""
        problems = []
        for position in range(first, len(self._files)):
            try:
                self._files.decode(position)
            except UnreadableImageError as error:
                problems.append(f"--data: {error}{self._where_paths_start}")
        return problems


def _read_wanted(folder: Path) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Returns image and component of each row of test.csv, and the order of rows in sample_submission.csv."""
    test, sample = folder / "test.csv", folder / "sample_submission.csv"
    for file in (test, sample):
        if not file.is_file():
            raise ConfigError(f"--data: {folder} has no {file.name}, which says what to predict in which order")
    wanted = read_table(test)
    missing = [name for name in ("row_id", "image_id", "component") if name not in wanted]
    if missing:
        raise ConfigError(f"{test}: has no column {', '.join(missing)}; found {', '.join(wanted.columns)}")
    rows = {row.row_id: (str(row.image_id), row.component) for row in wanted.itertuples()}
    listed = read_table(sample)
    if "row_id" not in listed:
        raise ConfigError(f"{sample}: has no column row_id; found {', '.join(listed.columns)}")
    return rows, listed["row_id"].tolist()


def _read_submission(folder: Path, names: set[str]) -> Submission:
    rows, row_ids = _read_wanted(folder)
    known = set(row_ids)
    problems = []
    for ids, what in (
        ([i for i in row_ids if i not in rows], "of sample_submission.csv are not in test.csv"),
        ([i for i in rows if i not in known], "of test.csv are not in sample_submission.csv"),
        ([i for i, (image, _) in rows.items() if image not in names], "have no image in test_image_data_*.parquet"),
    ):
        if ids:
            problems.append(f"{folder}: {len(ids)} rows {what}, {ids[0]} first; is a file missing or of another set?")
    if problems:
        raise ConfigError(problems)
    return Submission(row_ids, [rows[i][0] for i in row_ids], [rows[i][1] for i in row_ids])
