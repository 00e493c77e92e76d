"""Images to predict: Kaggle's test files, a table, or a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError
from data.bengali import part_files, read_ids, read_images
from data.image_files import SUFFIXES, ImageFiles, UnreadableImageError, images_in
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
    elif not images_in(path):
        raise ConfigError(
            f"--data: {path} holds no images ({', '.join(SUFFIXES)}) and no test.csv with test_image_data_*.parquet"
        )


class UnlabelledImages:
    """Images with names and without labels.

    Args:
        path: a folder with Kaggle's test files, a .csv or .parquet table, or a folder of images; see `check_source`.
        dataset_cfg: of the model: TABLE.IMAGE_COLUMN, and TABLE.ON_UNREADABLE.

    Attributes:
        names: of the images.
        submission: what Kaggle wants, None for images of other origin.
        left_out: names of images that could not be read, filled while they are read.

    Raises:
        ConfigError: files are missing or do not fit together.
    """

    def __init__(self, path: Path, dataset_cfg: CfgNode):
        self._parts: list[Path] = []
        self._files = ImageFiles([])
        self._skips = dataset_cfg.TABLE.ON_UNREADABLE == "skip"
        self._inverts = dataset_cfg.NAME == "bengali"  # as its own reader does: the model knows bright ink on black
        self._where_paths_start = ""
        self.submission: Submission | None = None
        self.left_out: list[str] = []
        if path.is_file():
            # images lie where the table lies, wherever those of the training were
            self._where_paths_start = f" (paths in the table start at its own folder, {path.absolute().parent})"
            self._files, self.names = table_images(
                read_table(path), path, dataset_cfg.TABLE.IMAGE_COLUMN, path.absolute().parent, may_repeat=True
            )
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
            files = images_in(path)
            self._files, self.names = ImageFiles(files), [str(file.relative_to(path)) for file in files]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """Gives name and image, as a data set's raw images.

        Raises:
            ConfigError: an image cannot be read, and TABLE.ON_UNREADABLE is stop.
        """
        for part in self._parts:
            yield from read_images(part)
        for position, name in enumerate(self.names if not self._parts else ()):
            try:
                image = self._files[position]
                yield name, 255 - image if self._inverts else image
            except UnreadableImageError as error:
                if not self._skips:
                    raise ConfigError(f"--data: {error}{self._where_paths_start}") from None
                self.left_out.append(name)


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
