"""From a config to a model."""

from collections.abc import Mapping, Sequence

from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.loader import with_values
from trainable.backbone.build import build_backbone
from trainable.meta_arch import baseline, one_head_per_task  # noqa: F401  registers them
from trainable.meta_arch.registry import META_ARCH_REGISTRY
from trainable.start_weights import normalization
from trainable.weights import warm_start


def build_model(cfg: CfgNode, classes: Mapping[str, Sequence[str]]) -> tuple[nn.Module, CfgNode]:
    """Builds the model that MODEL describes.

    Args:
        cfg: the config as loaded.
        classes: of the data set: for each task, by name, the names of its classes.

    Returns:
        The model, and the config with derived values filled in (configs/defaults.py: DERIVED).

    Raises:
        ConfigError: an unknown part, INPUT_DIM contradicts the backbone, or weights do not fit.
    """
    backbone = build_backbone(cfg.MODEL.BACKBONE)
    if cfg.MODEL.HEAD.INPUT_DIM not in (None, backbone.num_features):
        raise ConfigError(
            f"found {cfg.MODEL.HEAD.INPUT_DIM}, but backbone {cfg.MODEL.BACKBONE.NAME} gives "
            f"{backbone.num_features}; leave the key out, it is derived",
            key="MODEL.HEAD.INPUT_DIM",
        )
    derived = {
        "MODEL.HEAD.INPUT_DIM": backbone.num_features,
        "MODEL.HEAD.OUTPUT_DIMS": tuple(len(names) for names in classes.values()),
        **normalization(cfg),
    }
    resolved = with_values(cfg, derived)
    model = META_ARCH_REGISTRY[cfg.MODEL.META_ARCHITECTURE](resolved.MODEL, backbone)
    if cfg.MODEL.WARM_START_PATH:
        warm_start(model, cfg.MODEL, classes)
    return model, resolved
