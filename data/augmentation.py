"""Random changes of single images, by albumentations. The only file that imports it.

albumentations 2.0.8 is the last release of its line. It merely warns about arguments that it ignores, so its warnings
are errors here, and it asks the package index for newer releases when imported, which is switched off.
"""

import os
import warnings

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import cv2
import numpy as np
from yacs.config import CfgNode

from data.augmix import augmix
from data.preparation import border_median

CUTOUT_SIDE = (0.1, 0.3)  # of the image's side
GRID_MASK_RATIO = 0.4  # of a grid cell's side


class Augmentation:
    """The augmentations of a DATASET.AUGMENTATION node; the same seed gives the same image."""

    def __init__(self, augmentation_cfg: CfgNode):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            transforms = _transforms(augmentation_cfg)
            self._compose = A.Compose(transforms)
        self._fill = augmentation_cfg.FILL
        self._filling = [transform for transform in transforms if isinstance(transform, (A.Rotate, A.GridDistortion))]
        self._augmix = augmentation_cfg.AUGMIX
        self.is_off = not transforms and self._augmix.PROB == 0

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Returns an augmented copy.

        Args:
            image: uint8 of shape (height, width, channels).
            seed: albumentations has a generator of its own, which no global seed reaches.
        """
        rng = np.random.default_rng(seed)
        fill = self._fill_of(image)
        changed = self._change(image, seed, fill)
        return self._mix(changed, rng, fill) if rng.random() < self._augmix.PROB else changed

    def changed(self, image: np.ndarray, seed: int) -> list[np.ndarray]:
        """Returns the augmented copy as a list of one view."""
        return [self(image, seed)]

    def views(self, image: np.ndarray, seed: int) -> list[np.ndarray]:
        """Returns three views: one augmented copy without AugMix, and two mixes made of it."""
        rng = np.random.default_rng(seed)
        fill = self._fill_of(image)
        changed = self._change(image, seed, fill)
        return [changed, self._mix(changed, rng, fill), self._mix(changed, rng, fill)]

    def _fill_of(self, image: np.ndarray) -> tuple[int, ...] | None:
        """Returns the colour that comes in from outside an image, by channel; None for its mirror image."""
        if self._fill == "reflect":
            return None
        if self._fill == "border":
            return border_median(image)
        if image.shape[2] == len(self._fill):
            return self._fill
        return (int(cv2.cvtColor(np.array([[self._fill]], np.uint8), cv2.COLOR_RGB2GRAY)[0, 0]),)

    def _change(self, image: np.ndarray, seed: int, fill: tuple[int, ...] | None) -> np.ndarray:
        if fill is not None:
            for transform in self._filling:  # albumentations has one colour for all images
                transform.fill = fill
        self._compose.set_random_seed(seed)
        return self._compose(image=image)["image"]

    def _mix(self, image: np.ndarray, rng: np.random.Generator, fill: tuple[int, ...] | None) -> np.ndarray:
        own = self._augmix
        return augmix(image, rng, own.WIDTH, own.DEPTH, own.SEVERITY, own.ALPHA, fill)


def _transforms(cfg: CfgNode) -> list[A.BasicTransform | A.BaseCompose]:
    odd_blur = tuple(size + 1 - size % 2 for size in cfg.BLUR_LIMIT)
    noise_std = tuple(variance**0.5 / 255 for variance in cfg.GAUSS_VAR_LIMIT)
    border = cv2.BORDER_REFLECT_101 if cfg.FILL == "reflect" else cv2.BORDER_CONSTANT
    blurs = [
        A.MotionBlur(blur_limit=odd_blur, p=1),
        A.MedianBlur(blur_limit=odd_blur, p=1),
        A.Blur(blur_limit=odd_blur, p=1),
    ]
    transforms = [
        A.HorizontalFlip(p=cfg.HORIZONTAL_FLIP_PROB),
        A.Rotate(limit=cfg.ROTATION_DEGREE, border_mode=border, p=cfg.ROTATION_PROB),
        A.GridDistortion(border_mode=border, p=cfg.GRID_DISTORTION_PROB),
        A.RandomBrightnessContrast(p=cfg.BRIGHTNESS_CONTRAST_PROB),
        A.OneOf(blurs, p=cfg.BLURRING_PROB),
        A.GaussNoise(std_range=noise_std, p=cfg.GAUSS_NOISE_PROB),
        A.CoarseDropout(
            num_holes_range=(1, 1), hole_height_range=CUTOUT_SIDE, hole_width_range=CUTOUT_SIDE, p=cfg.CUTOUT_PROB
        ),
        A.GridDropout(ratio=GRID_MASK_RATIO, p=cfg.GRID_MASK_PROB),
    ]
    return [transform for transform in transforms if transform.p > 0]
