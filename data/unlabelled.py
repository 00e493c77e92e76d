"""Images to predict: Kaggle's test files, a table, or a folder."""

from dataclasses import dataclass
from pathlib import Path

from yacs.config import CfgNode

from configs.errors import ConfigError, Problems, counted
from data.bengali import part_files
from data.given_images import GivenImages, KaggleImages, images_of_table, is_folder
from data.image_files import SUFFIXES, Decoder, ImageFiles, described, images_in, printable
from data.image_table import read_table


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
    if not is_folder(path):
        return
    has_images = bool(images_in(path).files)
    if part_files(path, "test") or ((path / "test.csv").is_file() and not has_images):
        _read_wanted(path)
    elif not has_images:
        raise ConfigError(
            f"--data: {path} holds no images ({', '.join(SUFFIXES)}) and no test.csv with test_image_data_*.parquet"
        )


def unlabelled_images(path: Path, dataset_cfg: CfgNode) -> tuple[GivenImages, Submission | None]:
    """Returns the images to predict, and what Kaggle wants, None for images of other origin.

    Args:
        path: a folder with Kaggle's test files, a .csv or .parquet table, or a folder of images; see `check_source`.
        dataset_cfg: of the model: how images are read.

    Raises:
        ConfigError: files are missing or do not fit together.
    """
    if path.is_file():
        return images_of_table(read_table(path), path, dataset_cfg), None
    found = images_in(path)
    if part_files(path, "test") or not found.files:
        images = KaggleImages(dataset_cfg, part_files(path, "test"))
        return images, _read_submission(path, set(images.names))
    names = [printable(str(file.relative_to(path))) for file in found.files]
    note = described(counted(len(names), "image"), found.left_out)
    return GivenImages(dataset_cfg, ImageFiles(found.files, Decoder.of(dataset_cfg)), names, note), None


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
    problems = Problems()
    for ids, what in (
        ([i for i in row_ids if i not in rows], "of sample_submission.csv are not in test.csv"),
        ([i for i in rows if i not in known], "of test.csv are not in sample_submission.csv"),
        ([i for i, (image, _) in rows.items() if image not in names], "have no image in test_image_data_*.parquet"),
    ):
        if ids:
            problems.add(f"{folder}: {len(ids)} rows {what}, {ids[0]} first; is a file missing or of another set?")
    problems.check()
    return Submission(row_ids, [rows[i][0] for i in row_ids], [rows[i][1] for i in row_ids])
