"""From a config to a model."""

from collections.abc import Sequence

from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.loader import with_values
from configs.tree import get_value
from trainable.backbone.build import build_backbone
from trainable.meta_arch import baseline, one_head_per_task  # noqa: F401  registers them
from trainable.meta_arch.registry import META_ARCH_REGISTRY
from trainable.weights import MODEL_PREFIXES, load_weights


def build_model(cfg: CfgNode, output_dims: Sequence[int]) -> tuple[nn.Module, CfgNode]:
    """Builds the model that MODEL describes.

    Args:
        cfg: the config as loaded.
        output_dims: the number of classes of each task of the data set.

    Returns:
        The model, and the config with MODEL.HEAD.INPUT_DIM and MODEL.HEAD.OUTPUT_DIMS filled in.

    Raises:
        ConfigError: an unknown part, a value given by hand contradicts backbone or data set, or weights do not fit.
    """
    backbone = build_backbone(cfg.MODEL.BACKBONE)
    resolved = _fill_in(
        cfg,
        {
            "MODEL.HEAD.INPUT_DIM": (backbone.num_features, f"backbone {cfg.MODEL.BACKBONE.NAME} gives"),
            "MODEL.HEAD.OUTPUT_DIMS": (tuple(output_dims), f"data set {cfg.DATASET.NAME} has"),
        },
    )
    model = META_ARCH_REGISTRY[cfg.MODEL.META_ARCHITECTURE](resolved.MODEL, backbone)
    if cfg.MODEL.WARM_START_PATH:
        load_weights(model, cfg.MODEL.WARM_START_PATH, "MODEL.WARM_START_PATH", MODEL_PREFIXES)
    return model, resolved


def _fill_in(cfg: CfgNode, derived: dict[str, tuple[object, str]]) -> CfgNode:
    problems = [
        f"{key}: found {get_value(cfg, key)}, but {source} {value}; leave the key out, it is derived"
        for key, (value, source) in derived.items()
        if get_value(cfg, key) not in (None, value)
    ]
    if problems:
        raise ConfigError(problems)
    return with_values(cfg, {key: value for key, (value, _) in derived.items()})
