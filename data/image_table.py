"""Anybody's images and labels: a CSV or parquet table with a row an image."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, counted, did_you_mean
from data.image_data import DATASET_REGISTRY, ImageData
from data.image_files import Decoder, ImageFiles, printable
from data.processed import ProcessedData
from data.raw_data import RAW_DATA_REGISTRY, RawImages, reading_options
from data.splits import SplitConstraints

PATHS_OUTSIDE = "PATHS_OUTSIDE"  # a key that changes no image

# What SPLIT_COLUMN may say; images of the test are left out, to be evaluated when all is done.
TRAINING, VALIDATION, TEST = ("train", "training"), ("validation", "valid", "val"), ("test",)


@DATASET_REGISTRY.register("image_table")
def build_image_table(dataset_cfg: CfgNode) -> ImageData:
    """Opens what `python -m data.make_dataset` made of the table.

    Raises:
        ConfigError: it is missing, stale or damaged.
    """
    return ProcessedData(dataset_cfg, TableRaw(dataset_cfg)).load()


@RAW_DATA_REGISTRY.register("image_table")
class TableRaw:
    """The table of DATASET.TABLE, and its images."""

    is_grey = False
    task_weights: tuple[float, ...] = ()

    def __init__(self, dataset_cfg: CfgNode):
        self._table = dataset_cfg.TABLE
        self._root = Path(dataset_cfg.PATH_DATA_RAW)
        self._dataset_cfg = dataset_cfg
        if not self._table.LABEL_COLUMNS:
            raise ConfigError("is empty; name the columns of labels, one a task", key="DATASET.TABLE.LABEL_COLUMNS")
        self.name = f"image_table-{printable(Path(self._table.PATH).stem)}"
        self.files = [Path(self._table.PATH)] if self._table.PATH else []
        repeated = [name for name in self._table.LABEL_COLUMNS if list(self._table.LABEL_COLUMNS).count(name) > 1]
        if repeated:
            raise ConfigError(f"{repeated[0]} is there more than once; name it once", key="DATASET.TABLE.LABEL_COLUMNS")
        self.options: dict[str, Any] = {
            **{f"DATASET.TABLE.{name}": self._table[name] for name in self._table if name != PATHS_OUTSIDE},
            **reading_options(dataset_cfg),
        }

    def check(self) -> None:
        """Raises ConfigError if the table or a column is missing."""
        self._read_table()

    def _read_table(self) -> Any:
        if not self._table.PATH:
            raise ConfigError("is empty; give the .csv or .parquet file with a row an image", key="DATASET.TABLE.PATH")
        if not Path(self._table.PATH).is_file():
            raise ConfigError(f"there is no file {self._table.PATH}", key="DATASET.TABLE.PATH")
        path = Path(self._table.PATH)
        table = read_table(path)
        for column in self._table.LABEL_COLUMNS:
            check_column(table, path, column, "DATASET.TABLE.LABEL_COLUMNS")
        for key in ("GROUP_COLUMN", "SPLIT_COLUMN"):
            if self._table[key]:
                check_column(table, path, self._table[key], f"DATASET.TABLE.{key}")
        return table

    def read(self) -> RawImages:
        """Reads the table.

        Raises:
            ConfigError: columns or labels are missing, or an image is named twice.
        """
        path, table = Path(self._table.PATH), self._read_table()
        sides = None
        notes = []
        if self._table.SPLIT_COLUMN:
            sides = read_sides(table[self._table.SPLIT_COLUMN], path)
            tests = int((sides == TEST[0]).sum())
            if tests:
                notes.append(f"{counted(tests, 'image')} left out, whose {self._table.SPLIT_COLUMN} is {TEST[0]}")
            if tests == len(table):
                raise ConfigError(
                    f"{path}: each row has the {self._table.SPLIT_COLUMN} {TEST[0]}: nothing is left to train on"
                )
            table = table[sides != TEST[0]]
            sides = sides[sides != TEST[0]]
        files, names = table_images(table, path, self._table.IMAGE_COLUMN, self._root, self._dataset_cfg)
        classes, labels = {}, []
        for column in self._table.LABEL_COLUMNS:
            classes[column], numbers = _read_classes(table[column], path)
            labels.append(numbers)
        groups = None
        if self._table.GROUP_COLUMN:
            groups = np.unique(table[self._table.GROUP_COLUMN].astype(str), return_inverse=True)[1].astype(np.int64)
        constraints = SplitConstraints(groups, None if sides is None else sides == VALIDATION[0])
        self._check_groups(table, path, constraints)
        return RawImages(
            [printable(name) for name in names], np.stack(labels, axis=1), classes, files, constraints, tuple(notes)
        )

    def _check_groups(self, table: Any, path: Path, constraints: SplitConstraints) -> None:
        """Raises ConfigError if the split that is given tears a group apart."""
        if constraints.groups is None or constraints.is_validation is None:
            return
        torn = np.intersect1d(
            constraints.groups[constraints.is_validation], constraints.groups[~constraints.is_validation]
        )
        if len(torn):
            name = table[self._table.GROUP_COLUMN].iloc[int(np.flatnonzero(constraints.groups == torn[0])[0])]
            raise ConfigError(
                f"{path}: {self._table.GROUP_COLUMN} {name} is on both sides of {self._table.SPLIT_COLUMN}, as are "
                f"{len(torn)} in all; correct it, or leave DATASET.TABLE.GROUP_COLUMN out"
            )


def read_sides(column: Any, path: Path) -> np.ndarray:
    """Returns for each row `train`, `validation` or `test`.

    Args:
        column: of a table, which says them in one of some words.
        path: of the table, for messages.

    Raises:
        ConfigError: a row says something else.
    """
    meant = {word: words[0] for words in (TRAINING, VALIDATION, TEST) for word in words}
    given = [str(value).strip().lower() for value in column]
    unknown = [number for number, word in enumerate(given) if word not in meant]
    if unknown:
        raise ConfigError(
            f"{path}, row {unknown[0] + 1}: {column.name} is {given[unknown[0]]!r}; allowed are "
            f"{', '.join(meant)} ({len(unknown)} rows say something else)"
        )
    return np.array([meant[word] for word in given])


def read_table(path: Path) -> Any:
    """Returns a .csv or .parquet file as a pandas DataFrame.

    Raises:
        ConfigError: it is missing, damaged, empty or of another kind.
    """
    import pandas as pd
    import pyarrow as pa

    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: is neither a .csv nor a .parquet file")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        # only what is empty is missing: None and NA are names of classes too
        is_csv = path.suffix == ".csv"
        table = pd.read_csv(path, keep_default_na=False, na_values=[""]) if is_csv else pd.read_parquet(path)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path}: cannot be read as a table: {error}") from None
    if table.empty:
        raise ConfigError(f"{path}: holds no rows")
    return table.reset_index(drop=table.index.name is None or table.index.name in table)


def table_images(
    table: Any, path: Path, column: str, root: Path, dataset_cfg: CfgNode, may_repeat: bool = False
) -> tuple[ImageFiles, list[str]]:
    """Returns the images of a table, and a different name for each.

    Args:
        table: from `read_table`, or some of its rows.
        path: of the table, for messages.
        column: of image files, or of encoded images as bytes.
        root: where relative paths start.
        dataset_cfg: how images are read, and whether paths may lead out of the root.
        may_repeat: whether a file may be there twice, which in training could be trained and validated on.

    Raises:
        ConfigError: the column is missing, has empty rows, holds a file twice, or a path that leads out of the root.
    """
    check_column(table, path, column, "DATASET.TABLE.IMAGE_COLUMN")
    decoder = Decoder.of(dataset_cfg)
    values = table[column].tolist()
    numbers = [int(number) + 1 for number in table.index]
    rows = [f"{path}, row {number}" for number in numbers]
    if all(isinstance(value, bytes) for value in values):
        return ImageFiles(values, decoder, rows), [str(number - 1) for number in numbers]
    names = [str(value) for value in values]
    files = [root / name for name in names]
    if not dataset_cfg.TABLE[PATHS_OUTSIDE]:
        _refuse_outside(names, root, rows)
    if not may_repeat:
        first: dict[str, int] = {}
        for file, name, number in zip(files, names, numbers, strict=True):
            same = first.setdefault(os.path.normpath(file), number)
            if same != number:
                raise ConfigError(
                    f"{path}: rows {same} and {number} hold the same image, {name}; it could be trained and validated "
                    "on: keep one of them"
                )
    return ImageFiles(files, decoder, [f"{row}: {file}" for row, file in zip(rows, files, strict=True)]), names


def _refuse_outside(names: list[str], root: Path, rows: list[str]) -> None:
    """Raises ConfigError if a table, which somebody else may have made, has files read that lie anywhere."""
    root = Path(os.path.abspath(root))
    paths = [root / name for name in names]
    # .. is refused wherever it leads: behind a link it leads elsewhere than it seems
    outside = [place for place, path in enumerate(paths) if ".." in path.parts or not path.is_relative_to(root)]
    if outside:
        raise ConfigError(
            f"{rows[outside[0]]}: {names[outside[0]]} leads out of {root}, as {counted(len(outside), 'path')} of the "
            f"table in all; keep images below it, or allow it with DATASET.TABLE.{PATHS_OUTSIDE} true"
        )


def check_column(table: Any, path: Path, column: str, key: str) -> None:
    """Raises ConfigError if a table lacks a column, or has rows where it is empty; `key` of the config names it."""
    if column not in table:
        nearest = did_you_mean(column, table.columns)
        raise ConfigError(f"{path} has no column {column!r}.{nearest} Columns: {', '.join(table.columns)}", key=key)
    empty = table.index[table[column].isna()]
    if len(empty):
        raise ConfigError(f"{path}, row {empty[0] + 1}: {column} is empty, as in {len(empty)} rows in all; fill it in")


def _read_classes(column: Any, path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns the names of the classes, whole numbers in their order and text in that of the alphabet, and labels."""
    import pandas as pd

    if pd.api.types.is_float_dtype(column):
        raise ConfigError(f"{path}: {column.name} holds numbers with fractions; classes are whole numbers or text")
    is_whole = pd.api.types.is_integer_dtype(column)
    values, labels = np.unique(column.to_numpy() if is_whole else column.astype(str).to_numpy(str), return_inverse=True)
    return tuple(str(value) for value in values), labels.astype(np.int64)
