"""Weights of classes in the loss."""

from collections.abc import Sequence

import numpy as np
import torch
from yacs.config import CfgNode


def class_weights(
    loss_cfg: CfgNode, classes: dict[str, tuple[str, ...]], train_labels: np.ndarray
) -> list[torch.Tensor] | None:
    """Returns the weight of each class for each task, of shape (classes,), or None if all are 1.

    Args:
        loss_cfg: CLASS_WEIGHTS and CLASS_BALANCED_BETA, whose product counts.
        classes: for each task, by name, the names of its classes.
        train_labels: int64 of shape (training images, tasks).
    """
    given, beta = loss_cfg.CLASS_WEIGHTS, loss_cfg.CLASS_BALANCED_BETA
    if not given and beta == 0:
        return None
    weights = []
    for task, names in enumerate(classes.values()):
        own = given[task] if given and given[task] else (1.0,) * len(names)
        counts = np.bincount(train_labels[:, task], minlength=len(names))
        weights.append(torch.tensor(own) * torch.from_numpy(class_balanced_weights(counts, beta)))
    return weights


def class_balanced_weights(counts: Sequence[int] | np.ndarray, beta: float) -> np.ndarray:
    """Returns weights by the effective number of images (Cui et al. 2019, equation 2), float32 with mean 1.

    Args:
        counts: images of each class; a class without images has weight 1, which nothing uses.
        beta: 0 weighs all classes alike, towards 1 by the inverse of their counts.
    """
    counts = np.asarray(counts, np.float64)
    present = counts > 0
    effective = (1 - beta**counts) / (1 - beta)
    weights = np.ones(len(counts))
    weights[present] = 1 / effective[present]
    weights[present] /= weights[present].mean()
    return weights.astype(np.float32)
