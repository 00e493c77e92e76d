"""Gives every image the size and the channels that the model takes."""

from dataclasses import dataclass

import cv2
import numpy as np
from yacs.config import CfgNode

MARGIN = 0.04  # of a side: not looked at for content, since scans have dark lines there, and kept around the content
CONTENT_CONTRAST = 60  # grey levels between background and what counts as content


@dataclass(frozen=True)
class Preparation:
    """What DATASET says about the form of images.

    Attributes:
        shape: height and width of the result, in pixels.
        to_rgb: whether colours are kept. Grey images stay grey, since the model's input gets its three channels at the
            very end, after everything that costs time per channel.
        crop: cut off what shows only background.
        pad: pad to a square with background.
    """

    shape: tuple[int, int]
    to_rgb: bool
    crop: bool = False
    pad: bool = False

    @classmethod
    def of(cls, dataset_cfg: CfgNode) -> "Preparation":
        """The preparation that a DATASET node asks for."""
        shape = (dataset_cfg.RESIZE_SHAPE[0], dataset_cfg.RESIZE_SHAPE[1])
        return cls(shape, dataset_cfg.TO_RGB, dataset_cfg.CROP_TO_CONTENT, dataset_cfg.PAD_TO_SQUARE)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Returns the prepared image.

        Args:
            image: uint8 of shape (height, width), or (height, width, 3) in RGB.

        Returns:
            uint8 of shape (height, width, channels): one channel for grey images or where to_rgb is false.
        """
        if not self.to_rgb and image.ndim == 3:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self.crop:
            image = crop_to_content(image)
        if self.pad:
            image = pad_to_square(image)
        height, width = self.shape
        if image.shape[:2] != self.shape:
            is_smaller = height * width < image.shape[0] * image.shape[1]
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
        return image if image.ndim == 3 else image[:, :, None]


def crop_to_content(image: np.ndarray) -> np.ndarray:
    """Returns the part of an image that differs from its background, with a margin; all of it if nothing differs.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3).
    """
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    margin_y, margin_x = round(MARGIN * height), round(MARGIN * width)
    inner = grey[margin_y : height - margin_y, margin_x : width - margin_x]
    content = cv2.absdiff(inner, np.full_like(inner, _background(grey))) > CONTENT_CONTRAST
    rows, columns = np.flatnonzero(content.any(axis=1)), np.flatnonzero(content.any(axis=0))
    if not len(rows):
        return image
    # inner starts a margin further in, so that its coordinates are those of the image less the margin to be kept
    return image[rows[0] : rows[-1] + 1 + 2 * margin_y, columns[0] : columns[-1] + 1 + 2 * margin_x]


def pad_to_square(image: np.ndarray) -> np.ndarray:
    """Returns the image in the middle of a square of its background.

    Args:
        image: uint8 of shape (height, width) or (height, width, 3).
    """
    height, width = image.shape[:2]
    missing_y, missing_x = max(width - height, 0), max(height - width, 0)
    sides = [(missing_y // 2, missing_y - missing_y // 2), (missing_x // 2, missing_x - missing_x // 2)]
    if image.ndim == 2:
        return np.pad(image, sides, constant_values=_background(image))
    channels = [np.pad(image[:, :, c], sides, constant_values=_background(image[:, :, c])) for c in range(3)]
    return np.stack(channels, axis=2)


def border_median(image: np.ndarray) -> tuple[int, ...]:
    """Returns the background of an image, by channel: the median of its outermost pixels.

    Args:
        image: uint8 of shape (height, width, channels).
    """
    return tuple(int(_background(image[:, :, channel])) for channel in range(image.shape[2]))


def _background(channel: np.ndarray) -> np.uint8:
    """The median of the outermost pixels."""
    border = np.concatenate([channel[0], channel[-1], channel[:, 0], channel[:, -1]])
    return np.uint8(np.median(border))
