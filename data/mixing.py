"""Random changes of whole batches: mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019)."""

import numpy as np
import torch
from yacs.config import CfgNode


class Mixing:
    """Mixes the images of a batch in pairs; what happens depends on (seed, epoch, step) alone."""

    def __init__(self, augmentation_cfg: CfgNode, seed: int):
        self._cfg = augmentation_cfg
        self._seed = seed

    def __call__(self, images: torch.Tensor, epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor | None, float]:
        """Mixes each image with a partner from the same batch.

        Args:
            images: of shape (batch, channels, height, width).
            epoch: counted from 1.
            step: of the epoch, counted from 0.

        Returns:
            The mixed images, the partner of each image as an index into the batch, and the weight of each image's own
            labels; its partner's labels have the rest. Without mixing, the images, None and 1.
        """
        if self._cfg.CUTMIX_ALPHA == 0 and self._cfg.MIXUP_ALPHA == 0:
            return images, None, 1.0
        rng = np.random.default_rng([self._seed, epoch, step])
        partners = torch.from_numpy(rng.permutation(len(images))).to(images.device)
        if self._cfg.CUTMIX_ALPHA > 0 and rng.random() < self._cfg.CUTMIX_PROB:
            return self._cutmix(images, partners, rng)
        if self._cfg.MIXUP_ALPHA > 0:
            own = float(rng.beta(self._cfg.MIXUP_ALPHA, self._cfg.MIXUP_ALPHA))
            return own * images + (1 - own) * images[partners], partners, own
        return images, None, 1.0

    def _cutmix(
        self, images: torch.Tensor, partners: torch.Tensor, rng: np.random.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, float]:
        height, width = images.shape[-2:]
        side = (1 - rng.beta(self._cfg.CUTMIX_ALPHA, self._cfg.CUTMIX_ALPHA)) ** 0.5
        middle_y, middle_x = rng.integers(height), rng.integers(width)
        top, bottom = (np.clip(middle_y + sign * int(side * height) // 2, 0, height) for sign in (-1, 1))
        left, right = (np.clip(middle_x + sign * int(side * width) // 2, 0, width) for sign in (-1, 1))
        mixed = images.clone()
        mixed[:, :, top:bottom, left:right] = images[partners][:, :, top:bottom, left:right]
        own = 1 - (bottom - top) * (right - left) / (height * width)  # of the area, after clipping at the edges
        return mixed, partners, float(own)
