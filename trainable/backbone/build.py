"""From MODEL.BACKBONE.NAME to a backbone."""

from collections.abc import Callable
from functools import partial

import timm
from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError
from trainable.backbone.freezing import freeze_stages
from trainable.backbone.pretrained import KEY, check_tag, timm_name
from trainable.backbone.registry import BACKBONE_REGISTRY
from trainable.backbone.timm_backbone import build_timm_backbone
from trainable.weights import BACKBONE_PREFIXES, load_weights


def find_backbone(name: str) -> Callable[[CfgNode], nn.Module]:
    """Returns the builder of a backbone by its name.

    Raises:
        ConfigError: unknown name.
    """
    if name in BACKBONE_REGISTRY:
        return BACKBONE_REGISTRY[name]
    if timm.is_model(name):
        check_tag(name)
        return partial(build_timm_backbone, timm_name=name)
    raise BACKBONE_REGISTRY.unknown(name, timm.list_models(), "timm.list_models()")


def build_backbone(backbone_cfg: CfgNode) -> nn.Module:
    """Builds the backbone that MODEL.BACKBONE.NAME names: a registered one, or any model of timm by timm's name.

    Raises:
        ConfigError: unknown name, there are no PRETRAINED weights, PRETRAINED_PATH holds nothing that fits, or there
            are no FROZEN_STAGES to freeze.
    """
    name = backbone_cfg.NAME
    if backbone_cfg.PRETRAINED and timm_name(name) is None:
        raise ConfigError(
            f"takes timm's weights, and {name} is no model of timm's; give a file with {KEY}_PATH", key=KEY
        )
    backbone = find_backbone(name)(backbone_cfg)
    if backbone_cfg.PRETRAINED_PATH:
        load_weights(backbone, backbone_cfg.PRETRAINED_PATH, "MODEL.BACKBONE.PRETRAINED_PATH", BACKBONE_PREFIXES)
    if backbone_cfg.FROZEN_STAGES:
        freeze_stages(backbone, backbone_cfg.FROZEN_STAGES, name)
    return backbone
