"""Processed data: prepared images in one memory-mapped array, with labels and folds beside it.

A folder of processed data holds images.npy (uint8, (N, height, width, channels)), labels.npy (int64, (N, tasks)),
bonds.npz (what decides about the split), index.parquet (image_id, class names and fold, for people and notebooks) and
made_from.json. Its name says what it was made like, as in bengali-64x64-crop-1f2e3d4c; the digits stand for the raw
folder and for all settings that decide about images or labels. It is complete or absent.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from yacs.config import CfgNode

from configs import legal
from configs.defaults import KEYS
from configs.errors import ConfigError, counted, few
from configs.files import flush_files, shown_path
from data.image_data import ImageData
from data.image_files import ImageFiles, printable
from data.preparation import Preparation
from data.progress import image_progress
from data.raw_data import RawData, RawImages
from data.scan import Scan, merged, twins
from data.splits import Bonds, fold_numbers, split

FORMAT = 2

COMMAND = "python -m data.make_dataset"
SAME = "with the same --cfg and KEY VALUE pairs"

NAMED = 50  # unreadable images, in an error

OnImage = Callable[[int, int], None]  # gets the number of images done, and of all


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
        self._form = "-".join([raw.name, f"{height}x{width}", *(flag for flag, is_on in flags.items() if is_on)])
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
        except (OSError, ValueError, EOFError, KeyError) as error:
            return str(error)
        return ""

    def _arrays(self) -> tuple[Any, np.ndarray, dict[str, np.ndarray]]:
        images = np.load(self.path / "images.npy", mmap_mode="r") if self.has_images() else None
        with np.load(self.path / "bonds.npz") as bonds:
            return images, np.load(self.path / "labels.npy"), dict(bonds)

    def load(self) -> ImageData:
        """Opens the images memory-mapped and splits them as the config says.

        Raises:
            ConfigError: there is no processed data, or it is stale or damaged.
        """
        where = shown_path(self.path)
        if not self.exists():
            self._raw.check()
            raise ConfigError(
                f"DATASET.PATH_DATA_PROCESSED: there is no {where}{self._others()}; make it with: {COMMAND}, {SAME}"
            )
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
        images, labels, arrays = self._arrays()
        classes = {task: tuple(names) for task, names in made_from["classes"].items()}
        kept = np.setdiff1d(np.arange(len(labels)), made_from["left_out"])
        train, val = split(labels[kept], classes, self._cfg, self._bonds(arrays).of(kept))
        train, val = kept[train], kept[val]
        return ImageData(
            images=self._raw_files() if images is None else images,
            labels=labels,
            classes=classes,
            train_indices=train,
            val_indices=val,
            task_weights=self._raw.task_weights,
            is_prepared=images is not None,
            notes=(*made_from["notes"], *self._notes_on_twins(arrays["contents"], labels, (train, val), made_from)),
            images_digest=made_from["digest"],
        )

    def _raw_files(self) -> ImageFiles:
        images = self._raw.read().images
        assert isinstance(images, ImageFiles)  # only they are left as they are
        return images

    def _bonds(self, arrays: dict[str, np.ndarray]) -> Bonds:
        """What keeps images on one side of the split, and which side where that is given."""
        contents = arrays["contents"] if self._cfg.KEEP_DUPLICATES_TOGETHER else None
        if contents is not None and not len(twins(contents)):
            contents = None
        return Bonds(merged(arrays.get("groups"), contents), arrays.get("is_validation"))

    def _notes_on_twins(
        self, contents: np.ndarray, labels: np.ndarray, sides: tuple[np.ndarray, np.ndarray], made_from: dict[str, Any]
    ) -> list[str]:
        """Returns what people should know about images with the same pixels."""
        same = np.setdiff1d(twins(contents), made_from["left_out"])
        if not len(same):
            return []
        named = dict(zip(made_from["twins"]["positions"], made_from["twins"]["ids"], strict=True))
        one, other = named[int(contents[same[0]])], named[int(same[0])]
        both = np.intersect1d(*(contents[side] for side in sides))
        side = f"{len(both)} of them on both sides of the split" if len(both) else "twins are on one side of the split"
        notes = [f"{counted(len(same), 'image')} with the same pixels as another ({one} and {other}); {side}"]
        contrary = same[(labels[same] != labels[contents[same]]).any(axis=1)]
        if len(contrary):
            one, other = named[int(contents[contrary[0]])], named[int(contrary[0])]
            notes.append(f"{counted(len(contrary), 'image')} with other labels than its twin ({one} and {other})")
        return notes

    def ensure(self) -> None:
        """Makes it where it is missing, stale or damaged, and says so.

        The images are kept if DATASET.CACHE says so and the disk has room for them; all else is, in any case.

        Raises:
            ConfigError: the raw data cannot be used, or nothing can be written.
        """
        if self._is_usable():
            return
        raw_images = self._checked()
        self._parent.mkdir(parents=True, exist_ok=True)
        with self._locked(wait=True):
            if self._is_usable():  # another process has made it meanwhile
                return
            size, free = self._size(raw_images), shutil.disk_usage(self._parent).free
            has_room = size < free
            if self._cfg.CACHE and has_room:
                what = (
                    f"{len(raw_images.ids):,} images are prepared once, in {shown_path(self.path)}: {_shown_size(size)}"
                )
            elif self._cfg.CACHE:
                what = (
                    f"{len(raw_images.ids):,} images are looked through once; each epoch decodes them again, since "
                    f"{shown_path(self._parent)} has {_shown_size(free)} free and they take {_shown_size(size)}"
                )
            else:
                what = f"{len(raw_images.ids):,} images are looked through once (DATASET.CACHE is false)"
            print(what, file=sys.stderr, flush=True)  # a dry run prints YAML on stdout
            with image_progress() as on_image:
                self._make(raw_images, on_image, keeps_images=self._cfg.CACHE and has_room)

    def _is_usable(self) -> bool:
        try:
            if not self.exists() or self.staleness() or self.damage():
                return False
        except FileNotFoundError:  # another process replaces it
            return False
        if self.has_images() or not self._cfg.CACHE:
            return True
        return (
            self._made_from()["size"] >= shutil.disk_usage(self._parent).free
        )  # there was no room, and there is none now

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
        self._parent.mkdir(parents=True, exist_ok=True)
        with self._locked(wait=False):
            size, free = self._size(raw_images), shutil.disk_usage(self._parent).free
            if free < size:
                raise ConfigError(
                    f"DATASET.PATH_DATA_PROCESSED: {self._parent} has {_shown_size(free)} free, but the images take "
                    f"{_shown_size(size)}; make room or choose another folder"
                )
            return self._make(raw_images, on_image, keeps_images=True)

    def _checked(self) -> RawImages:
        """Returns the raw images; what cannot be used is told before anything is written."""
        raw_images = self._raw.read()
        split(raw_images.labels, raw_images.classes, self._cfg, raw_images.bonds)
        return raw_images

    def _size(self, raw_images: RawImages) -> int:
        """The bytes that the images take."""
        return int(np.prod((len(raw_images.ids), *self._cfg.RESIZE_SHAPE, self.channels)))

    def _make(self, raw_images: RawImages, on_image: OnImage, keeps_images: bool) -> list[str]:
        count = len(raw_images.ids)
        fingerprint = self._fingerprint
        shape = (count, *self._cfg.RESIZE_SHAPE, self.channels)
        scan = Scan.of(count)
        with self._workshop() as folder:
            images = _prepared(scan.read(raw_images), Preparation.of(self._cfg), count, on_image)
            left_out = _write_images(folder / "images.npy" if keeps_images else None, shape, images)
            self._check_readable(scan, left_out, raw_images.ids)
            np.save(folder / "labels.npy", raw_images.labels)
            arrays = {"contents": scan.contents, **raw_images.bonds.arrays()}
            with open(folder / "bonds.npz", "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            self._write_index(folder / "index.parquet", raw_images, left_out, arrays)
            same = twins(scan.contents)
            named = np.union1d(same, scan.contents[same]).tolist()
            made_from = {
                "format": FORMAT,
                "options": self._options,
                "fold": {key: self._cfg[key] for key in ("FOLDS", "VALIDATION_FRACTION", "SPLIT_SEED")},
                "files": fingerprint,
                "classes": raw_images.classes,
                "left_out": left_out,
                "twins": {"positions": named, "ids": [raw_images.ids[position] for position in named]},
                "notes": [*raw_images.notes, *self._notes_on_scan(scan, raw_images)],
                "digest": raw_images.digest,
                "has_images": keeps_images,
                "size": self._size(raw_images),
            }
            (folder / "made_from.json").write_text(json.dumps(made_from, indent=1, ensure_ascii=False), "utf-8")
        return [raw_images.ids[position] for position in left_out]

    def _check_readable(self, scan: Scan, left_out: list[int], ids: list[str]) -> None:
        """Raises ConfigError if images cannot be read that must be, with all of them."""
        if scan.unreadable and self._cfg.ON_UNREADABLE == "stop":
            problems = list(scan.unreadable.values())
            more = [f"and {len(problems) - NAMED} more"] if len(problems) > NAMED else []
            raise ConfigError(
                [
                    *problems[:NAMED],
                    *more,
                    f"DATASET.ON_UNREADABLE skip leaves out the {len(problems)} of {len(ids)} images that cannot be "
                    f"read; paths start at DATASET.PATH_DATA_RAW {self._cfg.PATH_DATA_RAW}",
                ]
            )
        if len(left_out) == len(ids):
            raise ConfigError(
                f"DATASET.PATH_DATA_RAW: none of the {len(left_out)} images can be read, {ids[0]} first; look at "
                f"{self._cfg.PATH_DATA_RAW}"
            )

    def _notes_on_scan(self, scan: Scan, raw_images: RawImages) -> list[str]:
        notes = []
        if scan.transparent:
            notes.append(
                f"{counted(scan.transparent, 'image')} with transparency, shown on DATASET.BACKGROUND "
                f"{list(self._cfg.BACKGROUND)}"
            )
        if scan.unreadable:
            ids = [raw_images.ids[position] for position in scan.unreadable]
            notes.append(f"{counted(len(ids), 'image')} left out, which cannot be read: {few(ids)}")
        return notes

    @contextmanager
    def _locked(self, wait: bool) -> Iterator[None]:
        """Keeps other processes from making the same; `wait`: until they have, instead of refusing."""
        with open(self._parent / f".{self.path.name}.lock", "w") as lock:
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
                f"DATASET.PATH_DATA_PROCESSED: {self.path} cannot be written: {error.strerror}; what was begun is "
                "removed, and the raw data is untouched"
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
        index.loc[kept, "fold"] = fold_numbers(raw_images.labels[kept], self._cfg, self._bonds(arrays).of(kept))
        index["left_out"] = index["fold"] < 0
        index.to_parquet(path, index=False)

    def _others(self) -> str:
        """Returns in words how other processed data of this form was made, if there is any."""
        for folder in self._parent.glob(f"{self._form}-*"):
            try:
                before = json.loads((folder / "made_from.json").read_text("utf-8"))["options"]
            except (OSError, ValueError, KeyError):
                continue
            for key, value in self._options.items():
                if before.get(key) != value:
                    return (
                        f" ({folder.name} was made with {key} {_shown(before.get(key))}, which is {_shown(value)} now)"
                    )
        return ""

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


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _shown_size(size: int) -> str:
    for unit, bytes_ in (("GB", 2**30), ("MB", 2**20)):
        if size >= bytes_:
            return f"{size / bytes_:,.1f} {unit}"
    return f"{size / 2**10:,.0f} kB"


def _prepared(
    images: Iterable[tuple[int, np.ndarray | None]], preparation: Preparation, count: int, on_image: OnImage
) -> Iterator[tuple[int, np.ndarray | None]]:
    for done, (position, image) in enumerate(images):
        yield position, None if image is None else preparation(image)
        on_image(done + 1, count)


def _write_images(
    path: Path | None, shape: tuple[int, ...], images: Iterable[tuple[int, np.ndarray | None]]
) -> list[int]:
    """Writes an array of images one by one, and returns the positions of those that are None.

    It is not written through a memory map: a full disk would kill the process there.

    Args:
        path: of the file; None: images are only looked at.
        shape: of the array.
        images: each with its position.
    """
    left_out = []
    size = int(np.prod(shape[1:]))
    with open(path or os.devnull, "wb") as file:
        start = 0
        if path:
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
            if path:
                file.seek(start + position * size)
                file.write(image.tobytes())
    return sorted(left_out)
