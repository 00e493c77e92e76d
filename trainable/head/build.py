"""From MODEL.HEAD.NAME to a head."""

from torch import nn
from yacs.config import CfgNode

from trainable.head import simple_head  # noqa: F401  registers its heads
from trainable.head.registry import HEAD_REGISTRY


def build_head(head_cfg: CfgNode) -> nn.Module:
    """Builds the head that MODEL.HEAD.NAME names; INPUT_DIM and OUTPUT_DIMS must be filled in."""
    return HEAD_REGISTRY[head_cfg.NAME](head_cfg)
