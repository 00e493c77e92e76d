"""From a config to a model."""

from collections.abc import Sequence

from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.loader import get_value, with_values
from trainable.backbone.build import build_backbone
from trainable.meta_arch import baseline  # noqa: F401  registers it
from trainable.meta_arch.registry import META_ARCH_REGISTRY


def build_model(cfg: CfgNode, output_dims: Sequence[int]) -> tuple[nn.Module, CfgNode]:
    """Builds the model that MODEL describes.

    Args:
        cfg: the config as loaded.
        output_dims: the number of classes of each task of the data set.

    Returns:
        The model, and the config with MODEL.HEAD.INPUT_DIM and MODEL.HEAD.OUTPUT_DIMS filled in.

    Raises:
        ConfigError: an unknown part, or a value given by hand contradicts backbone or data set.
    """
    backbone = build_backbone(cfg.MODEL.BACKBONE)
    resolved = _fill_in(
        cfg,
        {
            "MODEL.HEAD.INPUT_DIM": (backbone.num_features, f"backbone {cfg.MODEL.BACKBONE.NAME} gives"),
            "MODEL.HEAD.OUTPUT_DIMS": (tuple(output_dims), f"data set {cfg.DATASET.NAME} has"),
        },
    )
    return META_ARCH_REGISTRY[cfg.MODEL.META_ARCHITECTURE](resolved.MODEL, backbone), resolved


def _fill_in(cfg: CfgNode, derived: dict[str, tuple[object, str]]) -> CfgNode:
    problems = [
        f"{key}: found {get_value(cfg, key)}, but {source} {value}; leave the key out, it is derived"
        for key, (value, source) in derived.items()
        if get_value(cfg, key) not in (None, value)
    ]
    if problems:
        raise ConfigError(problems)
    return with_values(cfg, {key: value for key, (value, _) in derived.items()})
