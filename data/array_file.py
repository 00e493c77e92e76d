"""Writes an array of images into a file, one by one."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from configs.errors import ConfigError


def write_array(path: Path | None, shape: tuple[int, ...], images: Iterable[tuple[int, np.ndarray]]) -> list[int]:
    """Writes a .npy file of uint8, and returns the positions for which there is no image.

    It is not written through a memory map: a full disk would kill the process there.

    Args:
        path: of the file; None: images are only looked at.
        shape: of the array, (N, height, width, channels).
        images: each with its position, in any order.

    Raises:
        ConfigError: an image has another shape.
    """
    left_out = set(range(shape[0]))
    size = int(np.prod(shape[1:]))
    with open(path or os.devnull, "wb") as file:
        start = 0
        if path:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            file.truncate(start + size * shape[0])
        for position, image in images:
            if image.shape != shape[1:]:
                raise ConfigError(
                    f"image {position} has the shape {image.shape} after preparation, expected {shape[1:]}: raw data "
                    "with is_grey = False must give images of shape (height, width, 3)"
                )
            if path:
                file.seek(start + position * size)
                file.write(image.tobytes())
            left_out.discard(position)
    return sorted(left_out)
