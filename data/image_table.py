"""Anybody's images and labels: a CSV or parquet table with a row an image."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, did_you_mean
from data.image_data import DATASET_REGISTRY, ImageData
from data.image_files import ImageFiles, UnreadableImageError
from data.processed import ProcessedData
from data.raw_data import RAW_DATA_REGISTRY, RawImages


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
        if not self._table.LABEL_COLUMNS:
            raise ConfigError("DATASET.TABLE.LABEL_COLUMNS: is empty; name the columns of labels, one a task")
        self.name = f"image_table-{Path(self._table.PATH).stem}"
        self.files = [Path(self._table.PATH)] if self._table.PATH else []
        repeated = [name for name in self._table.LABEL_COLUMNS if list(self._table.LABEL_COLUMNS).count(name) > 1]
        if repeated:
            raise ConfigError(f"DATASET.TABLE.LABEL_COLUMNS: {repeated[0]} is there more than once; name it once")
        self.options: dict[str, Any] = {
            "DATASET.PATH_DATA_RAW": dataset_cfg.PATH_DATA_RAW,
            **{f"DATASET.TABLE.{name}": self._table[name] for name in self._table},
        }

    def check(self) -> None:
        """Raises ConfigError if the table or a column is missing."""
        self._read_table()

    def _read_table(self) -> Any:
        if not self._table.PATH:
            raise ConfigError("DATASET.TABLE.PATH: is empty; give the .csv or .parquet file with a row an image")
        if not Path(self._table.PATH).is_file():
            raise ConfigError(f"DATASET.TABLE.PATH: there is no file {self._table.PATH}")
        path = Path(self._table.PATH)
        table = read_table(path)
        for column in self._table.LABEL_COLUMNS:
            _check_column(table, path, column, "DATASET.TABLE.LABEL_COLUMNS")
        return table

    def read(self) -> RawImages:
        """Reads the table.

        Raises:
            ConfigError: columns or labels are missing, or an image is named twice.
        """
        path, table = Path(self._table.PATH), self._read_table()
        files, names = table_images(table, path, self._table.IMAGE_COLUMN, self._root)
        classes, labels = {}, []
        for column in self._table.LABEL_COLUMNS:
            classes[column], numbers = _read_classes(table[column], path)
            labels.append(numbers)

        def images() -> Iterator[tuple[int, np.ndarray | None]]:
            for position in range(len(files)):
                try:
                    yield position, files[position]
                except UnreadableImageError as error:
                    if self._table.ON_UNREADABLE == "stop":
                        raise ConfigError(
                            f"{error} (paths start at DATASET.PATH_DATA_RAW {self._root}), or leave out all that "
                            "cannot be read: DATASET.TABLE.ON_UNREADABLE skip"
                        ) from None
                    yield position, None

        return RawImages(names, np.stack(labels, axis=1), classes, images)


def read_table(path: Path) -> Any:
    """Returns a .csv or .parquet file as a pandas DataFrame.

    Raises:
        ConfigError: it is missing, damaged, empty or of another kind.
    """
    import pandas as pd
    import pyarrow as pa

    if path.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"{path}: is no .csv and no .parquet file")
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
    return table


def table_images(
    table: Any, path: Path, column: str, root: Path, may_repeat: bool = False
) -> tuple[ImageFiles, list[str]]:
    """Returns the images of a table, and a different name for each.

    Args:
        table: from `read_table`.
        path: of the table, for messages.
        column: of image files, or of encoded images as bytes.
        root: where relative paths start.
        may_repeat: whether an image may be there twice, which in training could be trained and validated on.

    Raises:
        ConfigError: the column is missing, has empty rows, or holds an image twice.
    """
    _check_column(table, path, column, "DATASET.TABLE.IMAGE_COLUMN")
    values = table[column].tolist()
    rows = [f"{path}, row {number + 1}" for number in range(len(values))]
    if all(isinstance(value, bytes) for value in values):
        names = [str(number) for number in range(len(values))]
        images, identities = ImageFiles(values, rows), [hashlib.sha256(value).hexdigest() for value in values]
    else:
        names = [str(value) for value in values]
        files = [root / name for name in names]
        identities = [os.path.normpath(file) for file in files]
        images = ImageFiles(files, [f"{row}: {file}" for row, file in zip(rows, files, strict=True)])
    if not may_repeat and len(set(identities)) < len(identities):
        first: dict[str, int] = {}
        number, same = next((n, i) for n, i in enumerate(identities) if first.setdefault(i, n) != n)
        raise ConfigError(
            f"{path}: rows {first[same] + 1} and {number + 1} hold the same image, {names[number]}; it could be "
            "trained and validated on: keep one of them"
        )
    return images, names


def _check_column(table: Any, path: Path, column: str, key: str) -> None:
    if column not in table:
        nearest = did_you_mean(column, table.columns)
        raise ConfigError(f"{key}: {path} has no column {column!r}.{nearest} Columns: {', '.join(table.columns)}")
    empty = np.flatnonzero(table[column].isna())
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
