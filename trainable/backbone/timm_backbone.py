"""Backbones from timm (https://github.com/huggingface/pytorch-image-models)."""

from functools import partial

import timm
import torch
from torch import nn
from yacs.config import CfgNode

from trainable.backbone.registry import BACKBONE_REGISTRY

# Names that this project gave to models which timm calls otherwise.
TIMM_NAMES = {
    "mobilenet_v2": "mobilenetv2_100",
    "densenet121": "densenet121",
    "se_resnext50": "seresnext50_32x4d",
}


class TimmBackbone(nn.Module):
    """A timm model without its classifier.

    Args:
        name: timm's name of the model.
        channels: of the input images.

    Attributes:
        num_features: size of the feature vector.
    """

    def __init__(self, name: str, channels: int):
        super().__init__()
        self.model = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels)
        # Some models widen their features between pooling and classifier; num_features is the width before that.
        self.num_features = getattr(self.model, "head_hidden_size", self.model.num_features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (batch, channels, height, width) to pooled features (batch, num_features)."""
        return self.model(images)


def build_timm_backbone(backbone_cfg: CfgNode, timm_name: str) -> TimmBackbone:
    """Builds a timm model with one or three input channels and random weights."""
    return TimmBackbone(timm_name, channels=3 if backbone_cfg.RGB else 1)


for _name, _timm_name in TIMM_NAMES.items():
    BACKBONE_REGISTRY.register(_name, partial(build_timm_backbone, timm_name=_timm_name))
