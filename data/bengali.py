"""Bengali graphemes in the layout of Kaggle's bengaliai-cv19 (https://www.kaggle.com/c/bengaliai-cv19).

Each image of 137x236 pixels shows one handwritten grapheme with three labels: its root, vowel diacritic and consonant
diacritic. Images come in parquet files with a row an image and a column a pixel, labels in train.csv.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError, Problems, few
from data.image_data import DATASET_REGISTRY, ImageData
from data.processed import ProcessedData
from data.raw_data import RAW_DATA_REGISTRY, RawImages

HEIGHT, WIDTH = 137, 236
CLASS_COUNTS = {"grapheme_root": 168, "vowel_diacritic": 11, "consonant_diacritic": 7}
TASK_WEIGHTS = (2.0, 1.0, 1.0)  # of the competition's score
COLUMN_BLOCK = 128  # columns read at a time; more take longer to put in their places, and more memory


@DATASET_REGISTRY.register("bengali")
def build_bengali(dataset_cfg: CfgNode) -> ImageData:
    """Opens what `python -m data.make_dataset` made of the graphemes.

    Raises:
        ConfigError: it is missing, stale or damaged.
    """
    return ProcessedData(dataset_cfg, BengaliRaw(dataset_cfg)).load()


@RAW_DATA_REGISTRY.register("bengali")
class BengaliRaw:
    """train.csv and train_image_data_*.parquet in DATASET.PATH_DATA_RAW."""

    name = "bengali"
    is_grey = True
    task_weights: tuple[float, ...] = TASK_WEIGHTS

    def __init__(self, dataset_cfg: CfgNode):
        self._folder = Path(dataset_cfg.PATH_DATA_RAW)
        self._parts = part_files(self._folder, "train")
        self._csv = self._folder / "train.csv"
        self.files = [self._csv, *self._parts]
        self.options: dict[str, Any] = {}

    def check(self) -> None:
        """Raises ConfigError if the raw data is missing."""
        if not self._csv.is_file() or not self._parts:
            what = "train.csv" if not self._csv.is_file() else "train_image_data_*.parquet"
            raise ConfigError(
                f"there is no {what} in {self._folder}; unpack Kaggle's bengaliai-cv19 there, "
                f"or make images to try with: python -m data.make_synthetic --out {self._folder}",
                key="DATASET.PATH_DATA_RAW",
            )

    def read(self) -> RawImages:
        """Reads the labels and joins them with the images by image_id.

        Raises:
            ConfigError: files are missing or damaged, ids do not match, or labels are out of range.
        """
        self.check()
        ids, labels = _read_labels(self._csv)
        ids_of_parts = {part: read_ids(part) for part in self._parts}
        position = {image_id: number for number, image_id in enumerate(ids)}
        self._match(position, ids_of_parts)

        def images() -> Iterator[tuple[int, np.ndarray | None]]:
            for part in self._parts:
                for image_id, image in read_images(part):
                    yield position[image_id], image

        classes = {task: tuple(str(label) for label in range(count)) for task, count in CLASS_COUNTS.items()}
        return RawImages(ids, labels, classes, images)

    def _match(self, position: dict[str, int], ids_of_parts: dict[Path, list[str]]) -> None:
        seen: dict[str, str] = {}
        problems = Problems()
        for part, part_ids in ids_of_parts.items():
            twice = [image_id for image_id in part_ids if image_id in seen]
            if twice:
                problems.add(f"{part}: {_some(twice)} also in {seen[twice[0]]}; each image_id may occur once")
            seen.update(dict.fromkeys(part_ids, part.name))
            if len(set(part_ids)) < len(part_ids):
                problems.add(f"{part}: {_some(_repeated(part_ids))} more than once; each image_id may occur once")
            unknown = [image_id for image_id in part_ids if image_id not in position]
            if unknown:
                problems.add(f"{part}: {_some(unknown)} not in {self._csv.name}; add the labels or remove the rows")
        missing = [image_id for image_id in position if image_id not in seen]
        if missing:
            parts = ", ".join(part.name for part in self._parts)
            problems.add(
                f"{self._csv}: {_some(missing)} in none of the parquet files found ({parts}); is a part missing?"
            )
        problems.check()


def part_files(folder: Path, kind: str) -> list[Path]:
    """Returns the parquet files of a kind, train or test, in their order."""
    return sorted(folder.glob(f"{kind}_image_data_*.parquet"), key=lambda path: (len(path.name), path.name))


def read_ids(part: Path) -> list[str]:
    """Returns the image_id of each row of a parquet file.

    Raises:
        ConfigError: it is damaged, or has not the columns of Kaggle's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part) as file:
            names = set(file.schema_arrow.names)
            missing = [name for name in ("image_id", *_PIXELS) if name not in names]
            if missing:
                raise ConfigError(
                    f"{part}: {len(missing)} columns are missing, {missing[0]!r} first; expected image_id and a column "
                    f"for each of {HEIGHT}x{WIDTH} pixels, '0' to '{HEIGHT * WIDTH - 1}'"
                )
            return [str(value) for value in file.read(columns=["image_id"]).column(0).to_pylist()]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(part, error) from None


def read_images(part: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Gives image_id and image of each row of a parquet file, one row group in memory at a time.

    Images are uint8 of shape (137, 236), inverted: ink is bright on black, so that what augmentation fills with black
    is background.

    Raises:
        ConfigError: it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(part) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group, columns=["image_id"]).column(0).to_pylist()
                pixels = np.empty((len(ids), HEIGHT * WIDTH), np.uint8)
                for start in range(0, len(_PIXELS), COLUMN_BLOCK):
                    block = file.read_row_group(group, columns=_PIXELS[start : start + COLUMN_BLOCK])
                    for offset, column in enumerate(block.columns):
                        if column.type != pa.uint8() or column.null_count:
                            raise ConfigError(
                                f"{part}: column {start + offset} holds {column.type} with {column.null_count} empty "
                                "rows; expected uint8 without empty rows"
                            )
                    pixels[:, start : start + COLUMN_BLOCK] = np.stack([c.to_numpy() for c in block.columns], axis=1)
                for row, image_id in enumerate(ids):
                    # a new array: whoever keeps it must not keep all of `pixels`
                    yield str(image_id), np.subtract(255, pixels[row]).reshape(HEIGHT, WIDTH)
                del pixels  # before the next ones are made
    except (pa.ArrowException, OSError) as error:
        raise _damaged(part, error) from None


_PIXELS = [str(number) for number in range(HEIGHT * WIDTH)]


def _read_labels(path: Path) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={"image_id": str}, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise ConfigError(f"{path}: cannot be read as a table: {error}") from None
    missing = [name for name in ("image_id", *CLASS_COUNTS) if name not in table]
    if missing:
        raise ConfigError(f"{path}: has no column {', '.join(missing)}; found {', '.join(table.columns)}")
    problems = Problems()
    problems += [f"{path}, line {row + 2}: image_id is empty" for row in np.flatnonzero(table["image_id"].isna())[:5]]
    if table["image_id"].dropna().duplicated().any():
        twice = table["image_id"][table["image_id"].duplicated()].dropna().tolist()
        problems.add(f"{path}: {_some(twice)} more than once; each image_id may occur once")
    for task, count in CLASS_COUNTS.items():
        numbers = pd.to_numeric(table[task], errors="coerce")
        is_legal = numbers.between(0, count - 1) & (numbers % 1 == 0)
        for row in np.flatnonzero(~is_legal)[:5]:
            problems.add(
                f"{path}, line {row + 2}: {task} of {table['image_id'][row]} is {table[task][row]}; allowed is a whole "
                f"number from 0 to {count - 1}"
            )
    problems.check()
    return table["image_id"].tolist(), table[list(CLASS_COUNTS)].to_numpy(np.int64)


def _repeated(values: list[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _some(ids: list[str]) -> str:
    return f"image_id {few(ids, 3)} ({len(ids)}) is"


def _damaged(part: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{part}: cannot be read as parquet, it may be truncated; fetch it again ({error})")
