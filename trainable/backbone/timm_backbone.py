"""Backbones from timm (https://github.com/huggingface/pytorch-image-models)."""

import pickle
from functools import partial
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from timm.models import group_parameters
from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError
from trainable.backbone.pretrained import KEY, TIMM_NAMES, weights_file
from trainable.backbone.registry import BACKBONE_REGISTRY
from trainable.layers.pooling import GeM


class TimmBackbone(nn.Module):
    """A timm model without its classifier.

    Args:
        name: timm's name of the model.
        channels: of the input images.
        pooling: "avg" for the model's own, "gem" for the generalised mean.
        weights: file of timm's weights for it; None: random ones.

    Attributes:
        num_features: size of the feature vector.

    Raises:
        ConfigError: the model gives no feature maps to pool, or the weights cannot be read.
    """

    def __init__(self, name: str, channels: int, pooling: str = "avg", weights: Path | None = None):
        super().__init__()
        own_pooling = {} if pooling == "avg" else {"global_pool": ""}
        given = {} if weights is None else {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}}
        try:
            self.model = timm.create_model(name, num_classes=0, in_chans=channels, **own_pooling, **given)
        except (SafetensorError, pickle.UnpicklingError, RuntimeError, OSError) as error:
            if weights is None:
                raise
            raise ConfigError(f"{weights}: cannot be read as the weights of {name}: {error}", key=KEY) from None
        except (TypeError, AssertionError):
            if not own_pooling:
                raise
            raise ConfigError(_NO_MAPS.format(name)) from None
        # Some models widen their features between pooling and classifier; num_features is the width before that.
        self.num_features = getattr(self.model, "head_hidden_size", self.model.num_features)
        self.pooling = GeM() if pooling == "gem" else None
        self._name = name

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps (batch, channels, height, width) to pooled features (batch, num_features)."""
        features = self.model(images)
        if self.pooling is None:
            return features
        if features.ndim != 4 or features.shape[1] != self.num_features:
            raise ConfigError(_NO_MAPS.format(self._name))
        return self.pooling(features)

    def stages(self) -> list[list[str]]:
        """Returns the names of the parameters of each stage, the stem first, as timm groups them."""
        groups = group_parameters(self.model, self.model.group_matcher(coarse=True))
        return [[f"model.{name}" for name in names] for _, names in sorted(groups.items())]


_NO_MAPS = (
    "MODEL.BACKBONE.POOLING: gem needs feature maps (batch, channels, height, width), which {} does not give; use avg"
)


def build_timm_backbone(backbone_cfg: CfgNode, timm_name: str) -> TimmBackbone:
    """Builds a timm model with one or three input channels, and random weights or timm's."""
    weights = weights_file(timm_name) if backbone_cfg.PRETRAINED else None
    return TimmBackbone(timm_name, 3 if backbone_cfg.RGB else 1, backbone_cfg.POOLING, weights)


for _name, _timm_name in TIMM_NAMES.items():
    BACKBONE_REGISTRY.register(_name, partial(build_timm_backbone, timm_name=_timm_name))
