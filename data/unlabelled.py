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


class UnlabelledImages:
    """Images with names and without labels.

    Args:
        path: a folder with Kaggle's test files, a .csv or .parquet table, or a folder of images.
        dataset_cfg: of the model: TABLE.IMAGE_COLUMN, and TABLE.ON_UNREADABLE.

    Attributes:
        names: of the images.
        submission: what Kaggle wants, None for images of other origin.
        left_out: names of images that could not be read, filled while they are read.

    Raises:
        ConfigError: there is nothing to predict, or files are missing or do not fit together.
    """

    def __init__(self, path: Path, dataset_cfg: CfgNode):
        self._parts: list[Path] = []
        self._files = ImageFiles([])
        self._skips = dataset_cfg.TABLE.ON_UNREADABLE == "skip"
        self._inverts = dataset_cfg.NAME == "bengali"  # as its own reader does: the model knows bright ink on black
        self.submission: Submission | None = None
        self.left_out: list[str] = []
        if path.is_file():
            # images lie where the table lies, wherever those of the training were
            self._files, self.names = table_images(
                read_table(path), path, dataset_cfg.TABLE.IMAGE_COLUMN, path.absolute().parent, may_repeat=True
            )
        elif not path.is_dir():
            raise ConfigError(f"--data: there is no {path}; give a folder or a .csv or .parquet table")
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
            if not files:
                raise ConfigError(
                    f"--data: {path} holds no images ({', '.join(SUFFIXES)}) and no test.csv with "
                    "test_image_data_*.parquet"
                )
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
            except UnreadableImageError:
                if not self._skips:
                    raise
                self.left_out.append(name)


def _read_submission(folder: Path, names: set[str]) -> Submission:
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
    row_ids = listed["row_id"].tolist()
    known = set(row_ids)
    problems = []
    for ids, what in (
        ([i for i in row_ids if i not in rows], f"of {sample.name} are not in {test.name}"),
        ([i for i in rows if i not in known], f"of {test.name} are not in {sample.name}"),
        ([i for i, (image, _) in rows.items() if image not in names], "have no image in test_image_data_*.parquet"),
    ):
        if ids:
            problems.append(f"{folder}: {len(ids)} rows {what}, {ids[0]} first; is a file missing or of another set?")
    if problems:
        raise ConfigError(problems)
    return Submission(row_ids, [rows[i][0] for i in row_ids], [rows[i][1] for i in row_ids])
