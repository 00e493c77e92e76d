"""One backbone, one head."""

import torch
from torch import nn
from yacs.config import CfgNode

from trainable.head.build import build_head
from trainable.meta_arch.registry import META_ARCH_REGISTRY


class Baseline(nn.Module):
    """A backbone and a head that all tasks share."""

    def __init__(self, backbone: nn.Module, head: nn.Module):
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps (batch, channels, height, width) to a list of logits (batch, classes), one a task."""
        return self.head(self.backbone(images))


@META_ARCH_REGISTRY.register("baseline")
def build_baseline(model_cfg: CfgNode, backbone: nn.Module) -> Baseline:
    """Joins the backbone with the head that MODEL.HEAD describes."""
    return Baseline(backbone, build_head(model_cfg.HEAD))
