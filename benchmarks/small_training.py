"""The training that the GPU benchmarks repeat: resnet18 in bf16 on synthetic images of 64 px that lie in memory.

It is small, so that one alone leaves a large GPU idle; there several trials on fractions of it should pay. The images
are noise around a mean of their class: what is measured is time alone.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from yacs.config import CfgNode

from data.image_data import DATASET_REGISTRY, ImageData

CLASSES = {"class": tuple(map(str, range(10)))}
VALIDATED = 512


def settings(is_tiny: bool) -> dict[str, str]:
    """Returns the config's values, by key, as on a command line.

    Args:
        is_tiny: one that trains on a CPU in seconds, to see that everything works.
    """
    return {
        "USER_MODULES": f"[{Path(__file__).resolve()}]",
        "DATASET.NAME": "noise_tiny" if is_tiny else "noise",
        "DATASET.RESIZE_SHAPE": "[16, 16]" if is_tiny else "[64, 64]",
        "DATASET.BATCH_SIZE": "32" if is_tiny else "128",
        "MODEL.BACKBONE.NAME": "test_resnet" if is_tiny else "resnet18",
        "MODEL.SOLVER.AMP": "bf16",
        "MODEL.SOLVER.CHANNELS_LAST": "true",
        "MODEL.SOLVER.TOTAL_EPOCHS": "3" if is_tiny else "5",
        "TENSORBOARD": "false",
    }


def device_name(device: torch.device) -> str:
    """Returns what figures are of."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@DATASET_REGISTRY.register("noise")
def build_noise(dataset_cfg: CfgNode) -> ImageData:
    """8,192 images to train on, and VALIDATED."""
    return _noise(8192, *dataset_cfg.RESIZE_SHAPE)


@DATASET_REGISTRY.register("noise_tiny")
def build_tiny_noise(dataset_cfg: CfgNode) -> ImageData:
    """64 images to train on, and VALIDATED."""
    return _noise(64, *dataset_cfg.RESIZE_SHAPE)


@cache  # drawing them takes a second, which a data set on the disk would not take in each trial
def _noise(number: int, height: int, width: int) -> ImageData:
    rng = np.random.default_rng(0)
    everything = np.arange(number + VALIDATED)
    labels = rng.integers(0, 10, (len(everything), 1))
    images = rng.integers(0, 156, (len(everything), height, width, 3), dtype=np.uint8)
    images += (10 * labels[:, :, None, None]).astype(np.uint8)
    return ImageData(images, labels, CLASSES, everything[:number], everything[number:], is_prepared=True)
