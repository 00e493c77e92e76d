"""Processed data: prepared images in one memory-mapped array, with labels and folds beside it.

A folder of processed data holds images.npy (uint8, (N, height, width, channels)), labels.npy (int64, (N, tasks)),
index.parquet (image_id, class names and fold, for people and notebooks) and made_from.json. It is named by what it was
made like, as in bengali-64x64-crop, so that several sizes live side by side. It is complete or absent.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.files import flush_files, shown_path
from data.image_data import ImageData
from data.preparation import Preparation
from data.raw_data import RawData, RawImages
from data.splits import fold_numbers, split

FORMAT = 1

COMMAND = "python -m data.make_dataset"
SAME = "with the same --cfg and KEY VALUE pairs"


class ProcessedData:
    """The processed data of a config, which may not be there yet.

    Args:
        dataset_cfg: the DATASET node.
        raw: what it is made from.
    """

    def __init__(self, dataset_cfg: CfgNode, raw: RawData):
        self._cfg = dataset_cfg
        self._raw = raw
        height, width = dataset_cfg.RESIZE_SHAPE
        flags = {
            "crop": dataset_cfg.CROP_TO_CONTENT,
            "square": dataset_cfg.PAD_TO_SQUARE,
            "grey": not dataset_cfg.TO_RGB and not raw.is_grey,
        }
        name = "-".join([raw.name, f"{height}x{width}", *(flag for flag, is_on in flags.items() if is_on)])
        self.channels = 1 if raw.is_grey or not dataset_cfg.TO_RGB else 3
        self.path = Path(dataset_cfg.PATH_DATA_PROCESSED) / name

    def exists(self) -> bool:
        """Whether there is processed data, be it stale."""
        return (self.path / "made_from.json").is_file()

    def staleness(self) -> str:
        """Returns why the processed data does not fit raw data and config, or an empty text if it does."""
        made_from = self._made_from()
        if made_from.get("format") != FORMAT:
            return f"it has format {made_from.get('format')} and this version reads {FORMAT}"
        for key, value in self._raw.options.items():
            before = made_from["options"].get(key)
            if before != json.loads(json.dumps(value)):
                return f"it was made with {key} {_shown(before)}, which is {_shown(value)} now"
        now = self._fingerprint()
        if not now:  # the raw files are gone, which is fine: what was made from them is here
            before, here = made_from["raw"], self._cfg.PATH_DATA_RAW
            return "" if before == here else f"it was made from {before}, and in {here} there are no raw files"
        for file in sorted(now.keys() | made_from["files"].keys()):
            if file not in now or file not in made_from["files"]:
                return f"the raw file {file} is {'gone' if file not in now else 'new'}"
            if now[file] != made_from["files"][file]:
                return f"the raw file {file} has changed since"
        return ""

    def damage(self) -> str:
        """Returns why the arrays cannot be opened, or an empty text if they can."""
        try:
            self._arrays()
        except (OSError, ValueError, EOFError) as error:
            return str(error)
        return ""

    def _arrays(self) -> tuple[Any, np.ndarray]:
        return np.load(self.path / "images.npy", mmap_mode="r"), np.load(self.path / "labels.npy")

    def load(self) -> ImageData:
        """Opens the images memory-mapped and splits them as the config says.

        Raises:
            ConfigError: there is no processed data, or it is stale or damaged.
        """
        where = shown_path(self.path)
        if not self.exists():
            self._raw.check()
            raise ConfigError(f"DATASET.PATH_DATA_PROCESSED: there is no {where}; make it with: {COMMAND}, {SAME}")
        stale = self.staleness()
        if stale:
            self._raw.check()  # a mistake in what it is now is the better answer
            raise ConfigError(
                f"DATASET.PATH_DATA_PROCESSED: {where} is stale: {stale}; make it again with: {COMMAND}, {SAME}"
            )
        damage = self.damage()
        if damage:
            raise ConfigError(
                f"DATASET.PATH_DATA_PROCESSED: {where} is damaged ({damage}); make it again with: {COMMAND}, {SAME}"
            )
        made_from = self._made_from()
        images, labels = self._arrays()
        classes = {task: tuple(names) for task, names in made_from["classes"].items()}
        kept = np.setdiff1d(np.arange(len(labels)), made_from["left_out"])
        train, val = split(labels[kept], classes, self._cfg)
        return ImageData(images, labels, classes, kept[train], kept[val], self._raw.task_weights, is_prepared=True)

    def make(self, on_image: Callable[[int, int], None] = lambda done, of: None) -> list[str]:
        """Makes or replaces the processed data.

        Args:
            on_image: called with the number of images done and of all images.

        Returns:
            The ids of images that were left out.

        Raises:
            ConfigError: the raw data cannot be used, the disk is full, or another process is making the same.
        """
        raw_images = self._raw.read()
        split(raw_images.labels, raw_images.classes, self._cfg)  # labels that are of no use are told before the work
        fingerprint = self._fingerprint()  # of what is read now
        shape = (len(raw_images.ids), *self._cfg.RESIZE_SHAPE, self.channels)
        with self._workshop(int(np.prod(shape))) as folder:
            prepared = _prepared(raw_images, Preparation.of(self._cfg), on_image)
            left_out = _write_images(folder / "images.npy", shape, prepared)
            if len(left_out) == len(raw_images.ids):
                raise ConfigError(
                    f"DATASET.PATH_DATA_RAW: none of the {len(left_out)} images can be read, {raw_images.ids[0]} "
                    f"first; look at {self._cfg.PATH_DATA_RAW}"
                )
            np.save(folder / "labels.npy", raw_images.labels)
            self._write_index(folder / "index.parquet", raw_images, left_out)
            made_from = {
                "format": FORMAT,
                "raw": self._cfg.PATH_DATA_RAW,
                "options": self._raw.options,
                "fold": {key: self._cfg[key] for key in ("FOLDS", "VALIDATION_FRACTION", "SPLIT_SEED")},
                "files": fingerprint,
                "classes": raw_images.classes,
                "left_out": left_out,
            }
            (folder / "made_from.json").write_text(json.dumps(made_from, indent=1, ensure_ascii=False))
        return [raw_images.ids[position] for position in left_out]

    @contextmanager
    def _workshop(self, size: int) -> Iterator[Path]:
        """Gives a folder to work in, which becomes the processed data at the end, or vanishes if something fails."""
        parent = self.path.parent
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f".{self.path.name}.making"
        with open(parent / f".{self.path.name}.lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"{self.path}: another process is making it; wait for it or stop it") from None
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            free = shutil.disk_usage(parent).free
            if free < size:
                raise ConfigError(
                    f"DATASET.PATH_DATA_PROCESSED: {parent} has {free / 2**20:,.0f} MB free, but the images take "
                    f"{size / 2**20:,.0f} MB; make room or choose another folder"
                )
            folder.mkdir()
            try:
                yield folder
                flush_files(folder)
                shutil.rmtree(self.path, ignore_errors=True)
                os.replace(folder, self.path)
            except OSError as error:
                if error.filename and not Path(error.filename).is_relative_to(parent):  # of raw data
                    raise
                raise ConfigError(
                    f"DATASET.PATH_DATA_PROCESSED: {self.path} cannot be written: {error.strerror}; what was begun is "
                    "removed, and the raw data is untouched"
                ) from None
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _write_index(self, path: Path, raw_images: RawImages, left_out: list[int]) -> None:
        import pandas as pd  # here: training does not need it

        labels = {
            task: [names[label] for label in raw_images.labels[:, number]]
            for number, (task, names) in enumerate(raw_images.classes.items())
        }
        index = pd.DataFrame({"image_id": raw_images.ids, **labels})
        kept = np.setdiff1d(np.arange(len(index)), left_out)
        index["fold"] = -1
        index.loc[kept, "fold"] = fold_numbers(raw_images.labels[kept], self._cfg)
        index["left_out"] = index["fold"] < 0
        index.to_parquet(path, index=False)

    def _made_from(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.path / "made_from.json").read_text()))
        except ValueError as error:
            raise ConfigError(f"{self.path}/made_from.json: cannot be read ({error}); run {COMMAND} --force") from None

    def _fingerprint(self) -> dict[str, list[int]]:
        found = {file.name: file.stat() for file in self._raw.files if file.exists()}
        return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in found.items()}


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _prepared(
    raw_images: RawImages, preparation: Preparation, on_image: Callable[[int, int], None]
) -> Iterator[tuple[int, np.ndarray | None]]:
    for done, (position, image) in enumerate(raw_images.images()):
        yield position, None if image is None else preparation(image)
        on_image(done + 1, len(raw_images.ids))


def _write_images(path: Path, shape: tuple[int, ...], images: Iterable[tuple[int, np.ndarray | None]]) -> list[int]:
    """Writes an array of images one by one, and returns the positions of those that are None.

    It is not written through a memory map: a full disk would kill the process there.
    """
    left_out = []
    size = int(np.prod(shape[1:]))
    with open(path, "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.truncate(start + size * shape[0])
        for position, image in images:
            if image is None:
                left_out.append(position)
                continue
            if image.shape != shape[1:]:
                raise ConfigError(
                    f"image {position} has the shape {image.shape} after preparation, expected {shape[1:]}: raw data "
                    "with is_grey = False must give images of shape (height, width, 3)"
                )
            file.seek(start + position * size)
            file.write(image.tobytes())
    return sorted(left_out)
