"""One backbone, a head of its own for each task."""

from collections.abc import Sequence

import torch
from torch import nn
from yacs.config import CfgNode

from trainable.head.build import build_head
from trainable.meta_arch.registry import META_ARCH_REGISTRY


class OneHeadPerTask(nn.Module):
    """A backbone that all tasks share and a head, hidden layers included, for each task."""

    def __init__(self, backbone: nn.Module, heads: Sequence[nn.Module]):
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(heads)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps (batch, channels, height, width) to a list of logits (batch, classes), one a task."""
        features = self.backbone(images)
        return [logits for head in self.heads for logits in head(features)]


@META_ARCH_REGISTRY.register("one_head_per_task")
def build_one_head_per_task(model_cfg: CfgNode, backbone: nn.Module) -> OneHeadPerTask:
    """Joins the backbone with a head for each of OUTPUT_DIMS, all as MODEL.HEAD describes."""
    heads = []
    for output_dim in model_cfg.HEAD.OUTPUT_DIMS:
        head_cfg = model_cfg.HEAD.clone()
        head_cfg.defrost()
        head_cfg.OUTPUT_DIMS = (output_dim,)
        head_cfg.freeze()
        heads.append(build_head(head_cfg))
    return OneHeadPerTask(backbone, heads)
