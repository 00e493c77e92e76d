"""What numbers depend on besides the config: versions and hardware."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import cv2
import torch
from yacs.config import CfgNode

import yacstune
from configs.user_modules import code_checksums, other_code
from trainable.start_weights import checksums, other_weights

WEIGHTS, CODE, DATA = "weights", "code", "data"  # checksums

# Where these differ, the same config may give other numbers.
_DECISIVE = ("yacstune", "device", "cpu_capability", "torch", "timm", "albumentations", "opencv")


def describe_environment(device: torch.device, cfg: CfgNode) -> dict[str, Any]:
    """Returns versions, hardware, and checksums of the weights and the code of a config, to be kept beside results."""
    weights, code = checksums(cfg), code_checksums(cfg.USER_MODULES)
    return {
        "yacstune": yacstune.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": version("timm"),
        "albumentations": version("albumentations"),
        "opencv": cv2.__version__,
        "numpy": version("numpy"),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        **({WEIGHTS: weights} if weights else {}),
        **({CODE: code} if code else {}),
    }


def environment_differences(recorded: dict[str, Any], here: dict[str, Any]) -> str:
    """Returns which of what decides about numbers differs, as `torch 2.14 there, 2.15 here`; empty if nothing does."""
    return "; ".join(
        f"{name} {recorded[name]} there, {here[name]} here"
        for name in _DECISIVE
        if name in recorded and _release(recorded[name]) != _release(here[name])
    )


def other_parts(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Returns lines that say which code and which weights are not those that a config was trained with."""
    return [
        *other_code(recorded.get(CODE, {}), here.get(CODE, {})),
        *other_weights(recorded.get(WEIGHTS, {}), here.get(WEIGHTS, {})),
    ]


def _release(version: str) -> str:
    """Returns a version without what its packaging adds: OpenCV 5.0.0.93 is 5.0.0."""
    return ".".join(version.split(".")[:3])
