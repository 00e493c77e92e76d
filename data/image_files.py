"""Encoded images in files or in memory, decoded when indexed."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data.image_data import DataError

# OpenCV says on its own what it cannot read; our messages name the row
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class UnreadableImageError(DataError):
    """An image is missing, damaged, or of a format that OpenCV does not read."""


def read_image(source: str | os.PathLike[str] | bytes, name: str) -> np.ndarray:
    """Returns an image as uint8 of shape (height, width, 3) in RGB.

    Args:
        source: a file, or the bytes of one.
        name: of the image, for messages.

    Raises:
        UnreadableImageError: it cannot be read.
    """
    try:
        content = source if isinstance(source, bytes) else Path(source).read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{name}: cannot be read: {error.strerror}") from None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:  # as for a picture larger than OpenCV allows
        image = None
    if image is None:
        raise UnreadableImageError(f"{name}: cannot be read as an image; remove or replace it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class ImageFiles(Sequence[np.ndarray]):
    """Images that are decoded when indexed, each uint8 of shape (height, width, 3) in RGB.

    Args:
        sources: files, or the bytes of files.
        names: of the images, for messages; without them, the files'.
    """

    def __init__(self, sources: Sequence[str | Path | bytes], names: Sequence[str] | None = None):
        self._sources = sources
        self._names = names

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, index: Any) -> Any:
        source = self._sources[index]
        return read_image(source, self._names[index] if self._names else str(source))

    def digest(self) -> str:
        """Returns a checksum by which other images are told from these: of bytes, or of names and sizes of files."""
        digest = hashlib.sha256()
        for source in self._sources:
            if isinstance(source, bytes):
                digest.update(hashlib.sha256(source).digest())
            else:
                size = os.path.getsize(source) if os.path.exists(source) else "missing"
                digest.update(f"{os.path.basename(source)}: {size}\n".encode())
        return digest.hexdigest()


def images_in(folder: Path) -> list[Path]:
    """Returns the image files below a folder, sorted; hidden ones are left out."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
