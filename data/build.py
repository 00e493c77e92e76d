"""From DATASET.NAME to a data set."""

from pathlib import Path

from yacs.config import CfgNode

from configs.errors import ConfigError, Problems, counted
from configs.files import shown_path
from configs.settings import settings_from_environment
from data import bengali, digits, image_folder, image_table  # noqa: F401  registers them
from data.image_data import DATASET_REGISTRY, ImageData
from data.processed import COMMAND, NotProcessedError, ProcessedData
from data.raw_data import RAW_DATA_REGISTRY
from data.task_fit import check_task_fit


def build_dataset(dataset_cfg: CfgNode) -> ImageData:
    """Builds the data set that DATASET.NAME names.

    Raises:
        ConfigError: unknown name, or data that is missing or cannot be used.
    """
    return DATASET_REGISTRY[dataset_cfg.NAME](dataset_cfg)


def processed_data(dataset_cfg: CfgNode) -> ProcessedData:
    """Returns the processed data of a config, which may not be made yet.

    Raises:
        ConfigError: the data set has no raw images to process.
    """
    name = dataset_cfg.NAME
    if name not in RAW_DATA_REGISTRY:
        raise ConfigError(
            f"{name} needs no processing, it is read as it is. Processed are: {', '.join(RAW_DATA_REGISTRY)}",
            key="DATASET.NAME",
        )
    return ProcessedData(dataset_cfg, RAW_DATA_REGISTRY[name](dataset_cfg))


def check_data(cfg: CfgNode, begun_with: Path | None = None) -> list[str]:
    """Builds the data set if its name is one of ours, to notice what is missing or misfits before torch is imported.

    A data set of the user's is left to later: importing the user's modules may import torch.

    Args:
        cfg: the config.
        begun_with: the YAML of what goes on, which may differ from the one that is given now.

    Returns:
        What people should know about the data, a line each.

    Raises:
        ConfigError: data that is missing or cannot be used, or weights that do not fit its tasks.
    """
    if cfg.DATASET.NAME not in DATASET_REGISTRY:
        return []
    try:
        data = build_dataset(cfg.DATASET)
        check_task_fit(cfg, data)
    except ConfigError as error:
        key = "DATASET.PATH_DATA_RAW"
        given = [setting.source for setting in settings_from_environment(Problems()) if setting.key == key]
        is_named = any(
            problem.key.startswith(key) for problem in error.problems
        )  # whoever calls adds where it was given
        hints = [] if is_named else [f"{key} is set by {source}" for source in given]
        if begun_with and isinstance(error, NotProcessedError):
            hints.append(
                f"what goes on was begun with {shown_path(begun_with)}: {COMMAND} --cfg {shown_path(begun_with)}"
            )
        raise type(error)([*error.problems, *hints]) from None
    sides = f"{counted(len(data.train_indices), 'image')} to train and {len(data.val_indices):,} to validate on"
    return [*data.remarks, sides] if cfg.DATASET.NAME in RAW_DATA_REGISTRY else data.remarks
