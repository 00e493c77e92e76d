"""Builds everything that a config names and runs two images through it, so that a mistake costs seconds."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from yacs.config import CfgNode

from configs.errors import ConfigError, Problem
from configs.tree import get_value
from configs.user_modules import describe_error, import_user_modules
from data.build import build_dataset
from data.image_data import DATASET_REGISTRY
from trainable.backbone.build import find_backbone
from trainable.backbone.registry import BACKBONE_REGISTRY
from trainable.head.registry import HEAD_REGISTRY
from trainable.meta_arch.registry import META_ARCH_REGISTRY
from trainable.process_state import ProcessState, configure_process
from trainable.solver.optimizer import find_optimizer
from trainable.solver.registry import LOSS_REGISTRY, OPTIMIZER_REGISTRY, SCHEDULE_REGISTRY
from trainable.training import Training

_REGISTRIES = (META_ARCH_REGISTRY, HEAD_REGISTRY, LOSS_REGISTRY, SCHEDULE_REGISTRY, DATASET_REGISTRY)
_FIND: dict[str, Callable[[str], Any]] = {registry.key: registry.__getitem__ for registry in _REGISTRIES} | {
    BACKBONE_REGISTRY.key: find_backbone,
    OPTIMIZER_REGISTRY.key: find_optimizer,
}


def unknown_parts(named: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Problem]:
    """Returns what is wrong with names of parts, by key and name; those that exist are left out.

    Args:
        named: config keys, and names that they have.
    """
    problems = {}
    for key, name in named:
        try:
            _FIND[key](name)
        except ConfigError as error:
            problems[key, name] = error.problems[0]
    return problems


def rehearse(cfg: CfgNode) -> None:
    """Builds data set, model, loss, optimizer and schedule, and takes one step on a few images.

    Leaves no file, and the process as it was.

    Raises:
        ConfigError: something cannot be built or run; also for errors that a part of the user's raises.
    """
    import_user_modules(cfg.USER_MODULES)
    unknown = unknown_parts((key, get_value(cfg, key)) for key in _FIND)
    if unknown:
        raise ConfigError(unknown.values())
    before = ProcessState()
    logging.disable(logging.WARNING)  # the training itself says it all again
    try:
        Training(cfg, build_dataset(cfg.DATASET), configure_process(cfg)).try_step()
    except ConfigError:
        raise
    except Exception as error:
        backbone, shape = cfg.MODEL.BACKBONE.NAME, tuple(cfg.DATASET.RESIZE_SHAPE)
        raise ConfigError(
            f"{backbone} with {cfg.MODEL.HEAD.NAME} cannot be trained on images of {shape[0]}x{shape[1]}: "
            f"{describe_error(error, cfg.USER_MODULES)}"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
        before.restore()
