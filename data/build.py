"""From DATASET.NAME to a data set."""

from yacs.config import CfgNode

from data import digits, image_folder  # noqa: F401  registers them
from data.image_data import DATASET_REGISTRY, ImageData


def build_dataset(dataset_cfg: CfgNode) -> ImageData:
    """Builds the data set that DATASET.NAME names.

    Raises:
        ConfigError: unknown name, or data that is missing or cannot be used.
    """
    return DATASET_REGISTRY[dataset_cfg.NAME](dataset_cfg)


def check_data(cfg: CfgNode) -> None:
    """Builds the data set if its name is one of ours, to notice missing data before torch is imported.

    A data set of the user's is left to later: importing the user's modules may import torch.

    Raises:
        ConfigError: data that is missing or cannot be used.
    """
    if not cfg.USER_MODULES:
        build_dataset(cfg.DATASET)
