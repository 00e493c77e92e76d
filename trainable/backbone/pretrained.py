"""Starts a backbone from weights in a file."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from configs.errors import ConfigError

logger = logging.getLogger(__name__)

_CONTAINERS = ("model", "state_dict")  # keys under which checkpoints keep the weights
_PREFIXES = ("", "module.", "backbone.", "backbone.model.")


def load_pretrained(backbone: nn.Module, path: str) -> None:
    """Copies the weights that fit by name and shape, and logs how many did.

    Args:
        backbone: changed in place.
        path: a state dict (.pt, .pth, .safetensors), or a checkpoint that holds one, ours included.

    Raises:
        ConfigError: the file is missing or unreadable, or nothing in it fits.
    """
    weights = _read_weights(Path(path))
    own = backbone.state_dict()
    # timm models sit one level down, in `model`; files made by timm itself know nothing of that.
    candidates = [
        {
            (name if name in own else f"model.{name}"): value
            for name, value in ((n.removeprefix(prefix), v) for n, v in weights.items() if n.startswith(prefix))
        }
        for prefix in _PREFIXES
    ]
    fitting = max(
        ({n: v for n, v in c.items() if n in own and own[n].shape == v.shape} for c in candidates),
        key=len,
    )
    if not fitting:
        raise ConfigError(
            f"MODEL.BACKBONE.PRETRAINED_PATH: none of the {len(weights)} tensors in {path} fits the backbone by name "
            f"and shape; it holds {', '.join(list(weights)[:3])} ..., the backbone has {', '.join(list(own)[:3])} ..."
        )
    backbone.load_state_dict(fitting, strict=False)
    left = [name for name in own if name not in fitting]
    rest = f"; random still: {', '.join(left[:5])}{' ...' if len(left) > 5 else ''}" if left else ""
    logger.info("pretrained weights: %d of the backbone's %d tensors from %s%s", len(fitting), len(own), path, rest)


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    where = "MODEL.BACKBONE.PRETRAINED_PATH"
    if not path.is_file():
        raise ConfigError(f"{where}: {path}: no such file")
    content: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the damage happens to trip over
        raise ConfigError(f"{where}: {path}: cannot be read as weights ({type(error).__name__})") from None
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
    weights = {n: v for n, v in content.items() if torch.is_tensor(v)} if isinstance(content, Mapping) else {}
    if not weights:
        raise ConfigError(f"{where}: {path}: holds no state dict")
    return weights
