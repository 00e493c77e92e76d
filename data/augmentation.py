"""Random changes of single images, by albumentations. The only file that imports it.

albumentations 2.0.8 is the last release of its line. It merely warns about arguments that it ignores, so its warnings
are errors here, and it asks the package index for newer releases when imported, which is switched off.
"""

import os
import warnings

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import albumentations as A
import numpy as np
from yacs.config import CfgNode

from data.augmix import augmix

CUTOUT_SIDE = (0.1, 0.3)  # of the image's side
GRID_MASK_RATIO = 0.4  # of a grid cell's side


class Augmentation:
    """The augmentations of a DATASET.AUGMENTATION node; the same seed gives the same image."""

    def __init__(self, augmentation_cfg: CfgNode):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            transforms = _transforms(augmentation_cfg)
            self._compose = A.Compose(transforms)
        self._augmix = augmentation_cfg.AUGMIX
        self.is_off = not transforms and self._augmix.PROB == 0

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Returns an augmented copy.

        Args:
            image: uint8 of shape (height, width, channels).
            seed: albumentations has a generator of its own, which no global seed reaches.
        """
        rng = np.random.default_rng(seed)
        changed = self._change(image, seed)
        return self._mix(changed, rng) if rng.random() < self._augmix.PROB else changed

    def changed(self, image: np.ndarray, seed: int) -> list[np.ndarray]:
        """Returns the augmented copy as a list of one view."""
        return [self(image, seed)]

    def views(self, image: np.ndarray, seed: int) -> list[np.ndarray]:
        """Returns three views: one augmented copy without AugMix, and two mixes made of it."""
        rng = np.random.default_rng(seed)
        changed = self._change(image, seed)
        return [changed, self._mix(changed, rng), self._mix(changed, rng)]

    def _change(self, image: np.ndarray, seed: int) -> np.ndarray:
        self._compose.set_random_seed(seed)
        return self._compose(image=image)["image"]

    def _mix(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return augmix(image, rng, self._augmix.WIDTH, self._augmix.DEPTH, self._augmix.SEVERITY, self._augmix.ALPHA)


def _transforms(cfg: CfgNode) -> list[A.BasicTransform | A.BaseCompose]:
    odd_blur = tuple(size + 1 - size % 2 for size in cfg.BLUR_LIMIT)
    noise_std = tuple(variance**0.5 / 255 for variance in cfg.GAUSS_VAR_LIMIT)
    blurs = [
        A.MotionBlur(blur_limit=odd_blur, p=1),
        A.MedianBlur(blur_limit=odd_blur, p=1),
        A.Blur(blur_limit=odd_blur, p=1),
    ]
    transforms = [
        A.HorizontalFlip(p=cfg.HORIZONTAL_FLIP_PROB),
        A.Rotate(limit=cfg.ROTATION_DEGREE, p=cfg.ROTATION_PROB),
        A.GridDistortion(p=cfg.GRID_DISTORTION_PROB),
        A.RandomBrightnessContrast(p=cfg.BRIGHTNESS_CONTRAST_PROB),
        A.OneOf(blurs, p=cfg.BLURRING_PROB),
        A.GaussNoise(std_range=noise_std, p=cfg.GAUSS_NOISE_PROB),
        A.CoarseDropout(
            num_holes_range=(1, 1), hole_height_range=CUTOUT_SIDE, hole_width_range=CUTOUT_SIDE, p=cfg.CUTOUT_PROB
        ),
        A.GridDropout(ratio=GRID_MASK_RATIO, p=cfg.GRID_MASK_PROB),
    ]
    return [transform for transform in transforms if transform.p > 0]
