"""Processed data: prepared images in one memory-mapped array, with labels and folds beside it.

A folder of processed data holds images.npy (uint8, (N, height, width, channels)), labels.npy (int64, (N, tasks)),
split.npz (what decides about the split), index.parquet (image_id, class names and fold, for people and notebooks) and
made_from.json. Its name says what it was made like, as in bengali-64x64-crop-1f2e3d4c; the digits stand for the raw
folder and for all settings that decide about images or labels. It is complete or absent.
"""

import fcntl
import glob
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.lib.format import open_memmap
from yacs.config import CfgNode

from configs import legal
from configs.defaults import KEYS
from configs.errors import ConfigError, counted
from configs.files import flush_files, shown_path
from data.array_file import write_array
from data.findings import check_readable, notes_on_duplicates, notes_on_scan
from data.image_data import ImageData
from data.image_files import ImageFiles, printable
from data.preparation import Preparation
from data.progress import image_progress
from data.raw_data import RawData, RawImages
from data.scan import OnImage, Scan, duplicates, merged
from data.splits import SplitConstraints, fold_numbers, split

FORMAT = 2

COMMAND = "python -m data.make_dataset"
SAME = "with the same --cfg and KEY VALUE pairs"

NAME_LENGTH = 80  # of the beginning of a folder's name, of the 255 that systems allow


class UnwritableError(ConfigError):
    """The folder of processed data cannot be written."""


class NotProcessedError(ConfigError):
    """There is no processed data for a config, or none that can be used: COMMAND makes it."""


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
        self._form = "-".join(
            [raw.name[:NAME_LENGTH], f"{height}x{width}", *(flag for flag, is_on in flags.items() if is_on)]
        )
        self._parent = Path(dataset_cfg.PATH_DATA_PROCESSED)
        self._options = self._comparable({"DATASET.PATH_DATA_RAW": dataset_cfg.PATH_DATA_RAW, **raw.options})
        key = hashlib.sha256(json.dumps(self._options, sort_keys=True).encode()).hexdigest()[:8]
        self.path = self._parent / f"{self._form}-{key}"
        self._read: tuple[int, dict[str, Any]] | None = None
        self.channels = 1 if raw.is_grey or not dataset_cfg.TO_RGB else 3

    def _comparable(self, options: dict[str, Any]) -> dict[str, Any]:
        """Returns options as JSON has them, paths as seen from the processed data: both may move together."""
        own = {}
        for key, value in options.items():
            is_path = key in KEYS and isinstance(KEYS[key].rule, legal.Path) and value
            own[key] = printable(os.path.relpath(value, self._parent)) if is_path else value
        return dict(json.loads(json.dumps(own)))

    def exists(self) -> bool:
        """Whether there is processed data, be it stale."""
        return (self.path / "made_from.json").is_file()

    def has_images(self) -> bool:
        """Whether it holds the prepared images, and not only what is known of them."""
        return bool(self._made_from()["has_images"])

    def staleness(self) -> str:
        """Returns why the processed data does not fit the raw data, or an empty text if it does."""
        made_from = self._made_from()
        if made_from.get("format") != FORMAT:
            return f"it has format {made_from.get('format')} and this version reads {FORMAT}"
        now = self._fingerprint
        if not now:  # the raw files are gone, which is fine: what was made from them is here
            return ""
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
        except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
            return str(error)
        return ""

    def _arrays(self) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
        # opened here, since numpy leaves a file open that is damaged
        with open(self.path / "labels.npy", "rb") as labels, open(self.path / "split.npz", "rb") as constraints:
            images = open_memmap(self.path / "images.npy", mode="r") if self.has_images() else None
            return images, np.load(labels), dict(np.load(constraints))

    def load(self) -> ImageData:
        """Opens the images memory-mapped and splits them as the config says.

        Raises:
            NotProcessedError: there is no processed data, or it is stale or damaged.
        """
        where = shown_path(self.path)
        if not self.exists():
            self._raw.check()
            raise NotProcessedError(
                f"there is no {where}{self._others()}; make it with: {COMMAND}, {SAME}",
                key="DATASET.PATH_DATA_PROCESSED",
            )
        stale = self.staleness()
        if stale:
            self._raw.check()  # a mistake in what it is now is the better answer
            raise NotProcessedError(
                f"{where} is stale: {stale}; make it again with: {COMMAND}, {SAME}", key="DATASET.PATH_DATA_PROCESSED"
            )
        damage = self.damage()
        if damage:
            raise NotProcessedError(
                f"{where} is damaged ({damage}); make it again with: {COMMAND}, {SAME}",
                key="DATASET.PATH_DATA_PROCESSED",
            )
        return self._opened(self._made_from(), *self._arrays())

    def _opened(
        self, made_from: dict[str, Any], images: Any, labels: np.ndarray, arrays: dict[str, np.ndarray]
    ) -> ImageData:
        classes = {task: tuple(names) for task, names in made_from["classes"].items()}
        kept = np.setdiff1d(np.arange(len(labels)), made_from["left_out"])
        train, val = split(labels[kept], classes, self._cfg, self._constraints(arrays).of(kept))
        sides = (kept[train], kept[val])
        names = dict(zip(made_from["duplicates"]["positions"], made_from["duplicates"]["ids"], strict=True))
        gone = [] if self._fingerprint else [f"the raw files are gone: what was made of them is used, {self.path.name}"]
        return ImageData(
            images=self._raw_files() if images is None else images,
            labels=labels,
            classes=classes,
            train_indices=sides[0],
            val_indices=sides[1],
            task_weights=self._raw.task_weights,
            is_prepared=images is not None,
            notes=(*gone, *made_from["notes"], *notes_on_duplicates(arrays["contents"], labels, sides, names)),
            images_digest=made_from["digest"],
        )

    def known_constraints(self) -> SplitConstraints | None:
        """Returns what decides about the split, as it is known since images were read; None if they have not been."""
        return self._constraints(self._arrays()[2]) if self._is_complete() else None

    def _raw_files(self) -> ImageFiles:
        images = self._raw.read().images
        assert isinstance(images, ImageFiles)  # only they are left as they are
        return images

    def _constraints(self, arrays: dict[str, np.ndarray]) -> SplitConstraints:
        """What keeps images on one side of the split, and which side where that is given."""
        contents = arrays["contents"] if self._cfg.KEEP_DUPLICATES_TOGETHER else None
        if contents is not None and not len(duplicates(contents)):
            contents = None
        return SplitConstraints(merged(arrays.get("groups"), contents), arrays.get("is_validation"))

    def opened(self) -> ImageData:
        """Opens the images as `load` does, and makes them first where they are missing, stale or damaged, and says so.

        They are kept if DATASET.CACHE says so and the disk has room for them; what is known of them is kept anyway.
        Where nothing can be written they are looked through each time.

        Raises:
            ConfigError: the raw data cannot be used.
        """
        if not self._is_usable():
            raw_images = self._checked()
            try:
                self._ensure(raw_images)
            except UnwritableError as error:
                _say(f"looking through {counted(len(raw_images.ids), 'image')}, each time anew: {error}")
                with image_progress() as on_image:
                    made_from, arrays = self._looked_through(raw_images, on_image, None)
                return self._opened(made_from, None, raw_images.labels, arrays)
        return self._opened(self._made_from(), *self._arrays())

    def _ensure(self, raw_images: RawImages) -> None:
        with self._locked(wait=True):
            if self._is_usable():  # another process has made it meanwhile
                return
            images = counted(len(raw_images.ids), "image")
            size, free = self._size(raw_images), shutil.disk_usage(self._parent).free
            keeps_images = self._cfg.CACHE and size < free
            if keeps_images:
                _say(f"preparing {images} once, in {shown_path(self.path)}: {_shown_size(size)}")
            elif self._cfg.CACHE:
                room = f"{shown_path(self._parent)} has {_shown_size(free)} free and they take {_shown_size(size)}"
                _say(f"looking through {images} once; each epoch decodes them again, since {room}")
            else:
                _say(f"looking through {images} once; prepared images are not kept")
            with image_progress() as on_image:
                self._make(raw_images, on_image, keeps_images)

    def _is_complete(self) -> bool:
        try:
            return self.exists() and not self.staleness() and not self.damage()
        except (FileNotFoundError, ConfigError):  # another process replaces it; or it is damaged
            return False

    def _is_usable(self) -> bool:
        if not self._is_complete():
            return False
        if self.has_images() or not self._cfg.CACHE:
            return True
        size, free = self._made_from()["size"], shutil.disk_usage(self._parent).free
        return bool(size >= free)  # there was no room, and there is none now

    def make(self, on_image: OnImage = lambda done, of: None) -> list[str]:
        """Makes or replaces the processed data.

        Args:
            on_image: called as images are done.

        Returns:
            The ids of images that were left out.

        Raises:
            ConfigError: the raw data cannot be used, the disk is full, or another process is making the same.
        """
        raw_images = self._checked()
        with self._locked(wait=False):
            size, free = self._size(raw_images), shutil.disk_usage(self._parent).free
            if free < size:
                raise ConfigError(
                    f"{self._parent} has {_shown_size(free)} free, but the images take "
                    f"{_shown_size(size)}; make room or choose another folder",
                    key="DATASET.PATH_DATA_PROCESSED",
                )
            return self._make(raw_images, on_image, keeps_images=True)

    def _checked(self) -> RawImages:
        """Returns the raw images; what cannot be used is told before anything is written."""
        raw_images = self._raw.read()
        split(raw_images.labels, raw_images.classes, self._cfg, raw_images.constraints)
        return raw_images

    def _size(self, raw_images: RawImages) -> int:
        """The bytes that the images take."""
        return int(np.prod((len(raw_images.ids), *self._cfg.RESIZE_SHAPE, self.channels)))

    def _make(self, raw_images: RawImages, on_image: OnImage, keeps_images: bool) -> list[str]:
        with self._workshop() as folder:
            made_from, arrays = self._looked_through(
                raw_images, on_image, folder / "images.npy" if keeps_images else None
            )
            np.save(folder / "labels.npy", raw_images.labels)
            with open(folder / "split.npz", "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            self._write_index(folder / "index.parquet", raw_images, made_from["left_out"], arrays)
            (folder / "made_from.json").write_text(json.dumps(made_from, indent=1, ensure_ascii=False), "utf-8")
        return [raw_images.ids[position] for position in made_from["left_out"]]

    def _looked_through(
        self, raw_images: RawImages, on_image: OnImage, path: Path | None
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Reads each image once; returns what is known of them, and what decides about the split.

        Args:
            raw_images: all of them.
            on_image: called as images are done.
            path: where prepared images go; None keeps none.
        """
        count = len(raw_images.ids)
        fingerprint = self._fingerprint  # from before they are read
        scan = Scan.of(count)
        prepare = Preparation.of(self._cfg)
        images = (
            (position, prepare(image)) for position, image in scan.read(raw_images, on_image) if image is not None
        )
        left_out = write_array(path, (count, *self._cfg.RESIZE_SHAPE, self.channels), images)
        check_readable(scan, raw_images.ids, self._cfg.ON_UNREADABLE, self._cfg.PATH_DATA_RAW)
        same = duplicates(scan.contents)
        named = np.union1d(same, scan.contents[same]).tolist()
        made_from = {
            "format": FORMAT,
            "options": self._options,
            "fold": {key: self._cfg[key] for key in ("FOLDS", "VALIDATION_FRACTION", "SPLIT_SEED")},
            "files": fingerprint,
            "classes": raw_images.classes,
            "left_out": left_out,
            "duplicates": {"positions": named, "ids": [raw_images.ids[position] for position in named]},
            "notes": [*raw_images.notes, *notes_on_scan(scan, raw_images, self._cfg.BACKGROUND)],
            "digest": raw_images.digest(),
            "has_images": path is not None,
            "size": self._size(raw_images),
        }
        return made_from, {"contents": scan.contents, **raw_images.constraints.arrays()}

    @contextmanager
    def _locked(self, wait: bool) -> Iterator[None]:
        """Keeps other processes from making the same; `wait`: until they have, instead of refusing."""
        with ExitStack() as stack:
            try:
                self._parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(open(self._parent / f".{self.path.name}.lock", "w"))
            except OSError as error:
                raise UnwritableError(
                    f"DATASET.PATH_DATA_PROCESSED: {self._parent} cannot be written ({error.strerror}); give another"
                ) from None
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise ConfigError(f"{self.path}: another process is making it; wait for it or stop it") from None
            yield

    @contextmanager
    def _workshop(self) -> Iterator[Path]:
        """Gives a folder to work in, which becomes the processed data at the end, or vanishes if something fails."""
        folder, old = (self._parent / f".{self.path.name}.{what}" for what in ("making", "old"))
        shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
        folder.mkdir()
        try:
            yield folder
            flush_files(folder)
            if self.path.exists():  # moved away first: it is gone for a moment only
                shutil.rmtree(old, ignore_errors=True)
                os.rename(self.path, old)
            os.replace(folder, self.path)
        except OSError as error:
            if error.filename and not Path(error.filename).is_relative_to(self._parent):  # of raw data
                raise
            raise ConfigError(
                f"{self.path} cannot be written: {error.strerror}; what was begun is "
                "removed, and the raw data is untouched",
                key="DATASET.PATH_DATA_PROCESSED",
            ) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)

    def _write_index(
        self, path: Path, raw_images: RawImages, left_out: list[int], arrays: dict[str, np.ndarray]
    ) -> None:
        import pandas as pd  # here: training does not need it

        labels = {
            task: [names[label] for label in raw_images.labels[:, number]]
            for number, (task, names) in enumerate(raw_images.classes.items())
        }
        index = pd.DataFrame({"image_id": raw_images.ids, **labels})
        kept = np.setdiff1d(np.arange(len(index)), left_out)
        index["fold"] = -1
        index.loc[kept, "fold"] = fold_numbers(raw_images.labels[kept], self._cfg, self._constraints(arrays).of(kept))
        index["left_out"] = index["fold"] < 0
        index.to_parquet(path, index=False)

    def _others(self) -> str:
        """Returns in words how the processed data of this form that is most like it was made, if there is any."""
        found: list[tuple[list[str], str, dict[str, Any]]] = []
        for folder in self._parent.glob(f"{glob.escape(self._form)}-*"):
            with suppress(OSError, ValueError, KeyError, TypeError):
                before = dict(json.loads((folder / "made_from.json").read_text("utf-8"))["options"])
                found.append(
                    ([key for key in self._options if before.get(key) != self._options[key]], folder.name, before)
                )
        if not found:
            return ""
        (key, *more), name, before = min(found, key=lambda one: len(one[0]))
        was, now = (self._shown(key, options.get(key)) for options in (before, self._options))
        others = f", and {len(more)} more keys differ" if more else ""
        return f" ({name} was made with {key} {was}, which is {now} now{others})"

    def _shown(self, key: str, value: Any) -> str:
        if key in KEYS and isinstance(KEYS[key].rule, legal.Path) and value:
            return shown_path(os.path.normpath(self._parent / value))
        if isinstance(value, (list, tuple)):
            return ", ".join(map(str, value))
        return "null" if value is None else str(value) or "empty"

    def _made_from(self) -> dict[str, Any]:
        path = self.path / "made_from.json"
        stat = path.stat()
        if self._read is None or self._read[0] != stat.st_mtime_ns:
            try:
                self._read = stat.st_mtime_ns, json.loads(path.read_text("utf-8"))
            except ValueError as error:
                raise ConfigError(f"{path}: cannot be read ({error}); run {COMMAND} --force") from None
        return dict(self._read[1])

    @cached_property
    def _fingerprint(self) -> dict[str, list[int]]:
        """Size and date of each raw file, as they are when it is first asked: before the file is read."""
        root = f"{self._cfg.PATH_DATA_RAW}{os.sep}"
        found = {}
        for file in map(str, self._raw.files):
            name = file[len(root) :] if file.startswith(root) else os.path.relpath(file, root)
            with suppress(OSError):
                stat = os.stat(file)
                found[printable(name)] = [stat.st_size, stat.st_mtime_ns]
        return found


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # a dry run prints YAML on stdout


def _shown_size(size: int) -> str:
    for unit, bytes_ in (("GB", 2**30), ("MB", 2**20)):
        if size >= bytes_:
            return f"{size / bytes_:,.1f} {unit}"
    return f"{size / 2**10:,.0f} kB"
