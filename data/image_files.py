"""Images in files or in memory: which files of a folder are images, and how they are decoded.

Every command reads images here, so that a model is validated, tested and used on what it was trained on.
"""

import hashlib
import os
import stat
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from yacs.config import CfgNode

from configs.defaults import KEYS
from configs.errors import counted, few
from data.image_data import DataError

# OpenCV says on its own what it cannot read; our messages name the row
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

Source = str | os.PathLike[str] | bytes  # a file, or the bytes of one


class UnreadableImageError(DataError):
    """An image is missing, damaged, too large, or of a format that OpenCV does not read."""


@dataclass(frozen=True)
class Decoder:
    """Turns encoded images into arrays.

    Attributes:
        background: red, green and blue of what transparent images are shown on; None drops their transparency.
        max_pixels: larger images are refused before they take memory.
    """

    background: tuple[int, int, int] | None = KEYS["DATASET.BACKGROUND"].default
    max_pixels: int = KEYS["DATASET.MAX_PIXELS"].default

    @classmethod
    def of(cls, dataset_cfg: CfgNode) -> "Decoder":
        """The decoder that a DATASET node asks for."""
        return cls(dataset_cfg.BACKGROUND, dataset_cfg.MAX_PIXELS)

    def __call__(self, content: bytes, name: str) -> tuple[np.ndarray, bool]:
        """Returns an image as uint8 of shape (height, width, 3) in RGB, and whether it was transparent anywhere.

        Args:
            content: the bytes of its file.
            name: of the image, for messages.

        Raises:
            UnreadableImageError: it cannot be decoded, or is too large.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of large images and odd metadata
            header = _open(content)
            if header is not None:
                width, height = header.size
                if width * height > self.max_pixels:
                    raise UnreadableImageError(
                        f"{name}: has {width}x{height} pixels, more than DATASET.MAX_PIXELS {self.max_pixels}"
                    )
                if self.background is not None and header.has_transparency_data:
                    return _composited(header, content, self.background, name)
        try:
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
        except cv2.error:  # as for a picture larger than OpenCV allows
            image = None
        if image is None:
            why = " of 8 or 16 bits" if header is not None and header.mode in ("F", "I") else ""
            raise UnreadableImageError(f"{name}: cannot be read as an image{why}; remove or replace it")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB), False


def _open(content: bytes) -> Image.Image | None:
    """Returns what Pillow says of an image without decoding it; None if it knows nothing of it."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours counts
    try:
        return Image.open(BytesIO(content))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):  # its readers raise all of them
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _composited(
    image: Image.Image, content: bytes, background: tuple[int, int, int], name: str
) -> tuple[np.ndarray, bool]:
    """Returns an image on a background, and whether that can be seen anywhere."""
    try:
        layers = np.asarray(ImageOps.exif_transpose(_with_alpha(image, content)))
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UnreadableImageError(f"{name}: cannot be read as an image ({error}); remove or replace it") from None
    colours, alpha = layers[:, :, :3].astype(np.uint32), layers[:, :, 3:].astype(np.uint32)
    mixed = (colours * alpha + np.array(background, np.uint32) * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8), bool((alpha < 255).any())


def _with_alpha(image: Image.Image, content: bytes) -> Image.Image:
    """Returns an image as RGBA.

    Pillow does not convert PNGs of 1, 2, 4 or 16 bits in which one level of grey is transparent.
    """
    level = image.info.get("transparency")
    if not isinstance(level, int) or image.mode not in ("1", "L", "I;16"):
        return image.convert("RGBA")
    depth = content[24]  # bits, in the header of a PNG
    values = np.asarray(image).astype(np.uint16) * (255 if image.mode == "1" else 1)
    clear = values == (level if depth >= 8 else level * (255 // (2**depth - 1)))
    grey = (values >> 8 if depth == 16 else values).astype(np.uint8)
    return Image.merge(
        "LA", [Image.fromarray(grey), Image.fromarray(np.where(clear, 0, 255).astype(np.uint8))]
    ).convert("RGBA")


def read_file(path: str | os.PathLike[str], name: str) -> bytes:
    """Returns the bytes of an image's file.

    Raises:
        UnreadableImageError: it is missing, cannot be read, or is no file: a pipe would never end.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UnreadableImageError(f"{name}: is no file")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise UnreadableImageError(f"{name}: cannot be read: {getattr(error, 'strerror', error)}") from None


class ImageFiles(Sequence[np.ndarray]):
    """Images that are decoded when indexed, each uint8 of shape (height, width, 3) in RGB.

    Args:
        sources: files, or the bytes of files.
        decoder: of all of them.
        names: of the images, for messages; without them, the files'.
    """

    def __init__(self, sources: Sequence[Source], decoder: Decoder, names: Sequence[str] | None = None):
        self._sources = sources
        self._decoder = decoder
        self._names = names

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: Any) -> Any:
        return self.decode(index)[0]

    def decode(self, index: int) -> tuple[np.ndarray, bool]:
        """Returns an image, and whether it was transparent anywhere.

        Raises:
            UnreadableImageError: it cannot be read.
        """
        source, name = self._sources[index], self.name(index)
        return self._decoder(source if isinstance(source, bytes) else read_file(source, name), name)

    def name(self, index: int) -> str:
        """Returns the name of an image, for messages."""
        return printable(self._names[index] if self._names else str(self._sources[index]))

    def digest(self) -> str:
        """Returns a checksum by which other images are told from these: of bytes, or of names and sizes of files."""
        digest = hashlib.sha256()
        for source in self._sources:
            if isinstance(source, bytes):
                digest.update(hashlib.sha256(source).digest())
            else:
                size = os.path.getsize(source) if os.path.exists(source) else "missing"
                digest.update(os.fsencode(f"{os.path.basename(source)}: {size}\n"))
        return digest.hexdigest()


def printable(name: str) -> str:
    r"""Returns the name of a file as text for tables and messages, with bytes that are no UTF-8 as in `caf\xe9`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass
class FoundImages:
    """The images of a folder.

    Attributes:
        files: sorted.
        left_out: how many files and folders of a kind are none, by what they are: gif, hidden folder.
    """

    files: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def images_in(folder: Path) -> FoundImages:
    """Returns the images below a folder.

    Hidden files and folders are left out. Links are followed, to files and to folders, except back to where they are.
    """
    found = FoundImages()
    for path in _files_below(folder, found.left_out, (os.path.realpath(folder),)):
        if path.suffix.lower() in SUFFIXES:
            found.files.append(path)
        else:
            found.left_out[printable(path.suffix.lower().lstrip(".")) or "other file"] += 1
    found.files.sort()
    return found


def _files_below(folder: Path, left_out: Counter[str], above: tuple[str, ...]) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            is_folder, is_file = _kind(entry)
            if entry.name.startswith("."):
                left_out["hidden folder" if is_folder else "hidden file"] += 1
            elif is_folder:
                place = os.path.realpath(entry.path)
                if any(f"{one}{os.sep}".startswith(f"{place}{os.sep}") for one in above):
                    left_out["circular link"] += 1
                else:
                    yield from _files_below(Path(entry.path), left_out, (*above, place))
            elif is_file:
                yield Path(entry.path)
            else:
                left_out["broken link" if entry.is_symlink() else "special file"] += 1


def _kind(entry: "os.DirEntry[str]") -> tuple[bool, bool]:
    """Returns whether an entry is a folder, and whether it is a file; neither, for a link that leads nowhere."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError:  # a link to itself
        return False, False


def images_as_in_0_1(folder: Path) -> FoundImages:
    """Returns the images below a folder by the rule of version 0.1, for the configs that it wrote."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return FoundImages(files)


def described(what: str, left_out: Counter[str]) -> str:
    """Returns what was found and what was not taken, as in `9 images; left out: 2 gif, 1 hidden folder`."""
    kinds = ", ".join(
        f"{count} {kind}{'s' if count > 1 and ' ' in kind else ''}" for kind, count in sorted(left_out.items())
    )
    return f"{what}; left out: {kinds}" if kinds else what


def notes_on_reading(transparent: int, background: Sequence[int] | None, unreadable: Sequence[str]) -> list[str]:
    """Returns, a line each, what people should know of images that were read.

    Args:
        transparent: how many are transparent in places.
        background: what they are shown on.
        unreadable: names of those that could not be read, and were left out.
    """
    lines = []
    if transparent:
        shown = f"shown on DATASET.BACKGROUND {list(background or ())}"
        lines.append(f"{counted(transparent, 'image')} with transparency, {shown}")
    if unreadable:
        lines.append(f"{counted(len(unreadable), 'image')} left out, which cannot be read: {few(unreadable)}")
    return lines
