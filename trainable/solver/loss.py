"""Losses by name, and their sum over tasks."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from yacs.config import CfgNode

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
        return -((1 - log_p.exp()) ** gamma) * log_p

    return focal_loss


class TaskLoss(nn.Module):
    """The sum over tasks of a loss averaged over a batch.

    Args:
        image_loss: maps logits (batch, classes) and labels (batch,) to (batch,).
        ohem_rate: share of the batch, the images of highest summed loss, that counts in training (Shrivastava et al.
            2016); evaluation averages over all images.
    """

    def __init__(self, image_loss: ImageLoss, ohem_rate: float = 1.0):
        super().__init__()
        self.image_loss = image_loss
        self.ohem_rate = ohem_rate

    def forward(
        self,
        logits: Sequence[torch.Tensor],
        labels: torch.Tensor,
        partners: torch.Tensor | None = None,
        own_weight: float = 1.0,
    ) -> torch.Tensor:
        """Returns the loss of a batch, a scalar.

        Args:
            logits: one tensor (batch, classes) a task.
            labels: of shape (batch, tasks).
            partners: for mixed images, of shape (batch,): whose labels have the weight 1 - own_weight.
            own_weight: weight of an image's own labels.
        """
        losses = self._summed(logits, labels)
        if partners is not None and own_weight < 1:
            losses = own_weight * losses + (1 - own_weight) * self._summed(logits, labels[partners])
        if self.training and self.ohem_rate < 1:
            losses = losses.topk(max(1, round(self.ohem_rate * len(losses)))).values
        return losses.mean()

    def _summed(self, logits: Sequence[torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.image_loss(one.float(), labels[:, task]) for task, one in enumerate(logits)]).sum(
            dim=0
        )


def build_loss(loss_cfg: CfgNode) -> TaskLoss:
    """Builds the loss that MODEL.SOLVER.LOSS.NAME names."""
    return TaskLoss(LOSS_REGISTRY[loss_cfg.NAME](loss_cfg), loss_cfg.OHEM_RATE)
