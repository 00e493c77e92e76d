"""Losses by name, and their weighted sum over tasks."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from yacs.config import CfgNode

from trainable.solver.class_weights import class_weights
from trainable.solver.registry import LOSS_REGISTRY

ImageLoss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@LOSS_REGISTRY.register("softmax_cross_entropy")
def build_softmax_cross_entropy(loss_cfg: CfgNode) -> ImageLoss:
    """-log of the probability of the label."""
    return partial(F.cross_entropy, reduction="none")


@LOSS_REGISTRY.register("label_smoothing_cross_entropy")
def build_label_smoothing_cross_entropy(loss_cfg: CfgNode) -> ImageLoss:
    """Cross entropy with a share EPS of the label spread evenly over all classes (Szegedy et al. 2016, section 7)."""
    return partial(F.cross_entropy, reduction="none", label_smoothing=loss_cfg.EPS)


@LOSS_REGISTRY.register("weighted_focal_loss")
def build_weighted_focal_loss(loss_cfg: CfgNode) -> ImageLoss:
    """Cross entropy weighted by (1 - p)^GAMMA, p the probability of the label (Lin et al. 2017, equation 4)."""
    gamma = loss_cfg.FOCAL_LOSS.GAMMA

    def focal_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        log_p = F.log_softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
        doubt = -torch.expm1(log_p)  # 1 - p
        # the slope of its power is infinite at 0 for gamma below 1
        return -(doubt.clamp_min(1e-8) ** gamma) * log_p

    return focal_loss


class TaskLoss(nn.Module):
    """The weighted sum over tasks of a loss averaged over a batch.

    Args:
        image_loss: maps logits (batch, classes) and labels (batch,) to (batch,).
        ohem_rate: share of the batch, the images of highest summed loss, that counts in training (Shrivastava et al.
            2016); evaluation averages over all images.
        task_weights: of each task; 1 each if empty.
        class_weights: for each task of shape (classes,): an image's loss is multiplied by the weight of its class.
        jsd_weight: of the Jensen-Shannon divergence between the predictions for the views of an image in training.
    """

    def __init__(
        self,
        image_loss: ImageLoss,
        ohem_rate: float = 1.0,
        task_weights: Sequence[float] = (),
        class_weights: Sequence[torch.Tensor] | None = None,
        jsd_weight: float = 0.0,
    ):
        super().__init__()
        self.image_loss = image_loss
        self.ohem_rate = ohem_rate
        self.task_weights = tuple(task_weights)
        self.jsd_weight = jsd_weight
        self.class_weights = None if class_weights is None else nn.ParameterList(class_weights).requires_grad_(False)

    def forward(
        self,
        logits: Sequence[torch.Tensor],
        labels: torch.Tensor,
        partners: torch.Tensor | None = None,
        own_weight: float = 1.0,
    ) -> torch.Tensor:
        """Returns the loss of a batch, a scalar.

        Args:
            logits: one tensor (views * batch, classes) a task, all first views before all second ones; the loss is that
                of the first, the divergence that between all.
            labels: of shape (batch, tasks).
            partners: for mixed images, of shape (batch,): whose labels have the weight 1 - own_weight.
            own_weight: weight of an image's own labels.
        """
        first = [one[: len(labels)].float() for one in logits]
        losses = self._summed(first, labels)
        if partners is not None and own_weight < 1:
            losses = own_weight * losses + (1 - own_weight) * self._summed(first, labels[partners])
        if len(logits[0]) > len(labels):
            divergences = [jensen_shannon(one.float().reshape(-1, len(labels), one.shape[1])) for one in logits]
            losses = losses + self.jsd_weight * self._weighted(divergences)
        if self.training and self.ohem_rate < 1:
            losses = losses.topk(max(1, round(self.ohem_rate * len(losses)))).values
        return losses.mean()

    def _summed(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        losses = [self.image_loss(one, labels[:, task]) for task, one in enumerate(logits)]
        if self.class_weights is not None:
            losses = [w[labels[:, task]] * losses[task] for task, w in enumerate(self.class_weights)]
        return self._weighted(losses)

    def _weighted(self, of_tasks: Sequence[torch.Tensor]) -> torch.Tensor:
        if self.task_weights:
            of_tasks = [weight * one for weight, one in zip(self.task_weights, of_tasks, strict=True)]
        return torch.stack(list(of_tasks)).sum(dim=0)


def jensen_shannon(logits: torch.Tensor) -> torch.Tensor:
    """Returns the divergence between predictions for views of an image (Hendrycks et al. 2020, equation 1).

    Args:
        logits: of shape (views, batch, classes).

    Returns:
        Of shape (batch,), at least 0; in nats.
    """
    log_p = F.log_softmax(logits, dim=2)
    log_mean = log_p.logsumexp(dim=0) - math.log(len(logits))
    return (log_p.exp() * (log_p - log_mean)).sum(dim=2).mean(dim=0)


def build_loss(
    loss_cfg: CfgNode,
    classes: dict[str, tuple[str, ...]] | None = None,
    train_labels: np.ndarray | None = None,
) -> TaskLoss:
    """Builds the loss that MODEL.SOLVER.LOSS.NAME names.

    Args:
        loss_cfg: the node.
        classes: for each task, by name, the names of its classes; to make weights with.
        train_labels: int64 of shape (training images, tasks), for class weights.
    """
    weights = None
    if classes is not None and train_labels is not None:
        weights = class_weights(loss_cfg, classes, train_labels)
    return TaskLoss(
        LOSS_REGISTRY[loss_cfg.NAME](loss_cfg),
        loss_cfg.OHEM_RATE,
        loss_cfg.TASK_WEIGHTS,
        weights,
        loss_cfg.JSD_WEIGHT,
    )
