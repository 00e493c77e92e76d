"""Builds everything that a config names and runs two images through it, so that a mistake costs seconds."""

import logging

from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.registry import describe_error, import_user_modules
from data.build import build_dataset
from trainable.process_state import ProcessState, configure_process
from trainable.training import Training


def rehearse(cfg: CfgNode) -> None:
    """Builds data set, model, loss, optimizer and schedule, and takes one step on a few images.

    Leaves no file, and the process as it was.

    Raises:
        ConfigError: something cannot be built or run; also for errors that a part of the user's raises.
    """
    import_user_modules(cfg.USER_MODULES)
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
            f"{describe_error(error)}"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
        before.restore()
