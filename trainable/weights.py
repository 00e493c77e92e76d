"""Starts a model, or its backbone, from weights in a file."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from timm.models import adapt_input_conv
from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError, few
from trainable.checkpoint import ClaimError, peek, read_torch_file

logger = logging.getLogger(__name__)

IF_IT_FITS = "if_it_fits"
_CONTAINERS = ("ema", "model", "state_dict")  # keys under which checkpoints keep the weights, the best first
BACKBONE_PREFIXES = ("", "module.", "backbone.", "backbone.model.")
MODEL_PREFIXES = ("", "module.")


def warm_start(model: nn.Module, model_cfg: CfgNode, classes: Mapping[str, Sequence[str]]) -> None:
    """Copies the weights of MODEL.WARM_START_PATH that fit.

    Those of heads are copied only if they tell the same classes apart, unless WARM_START_HEAD says otherwise.

    Args:
        model: changed in place; its heads are modules named head or heads.
        model_cfg: the MODEL node.
        classes: of the data set: for each task, by name, the names of its classes.

    Raises:
        ConfigError: the file is missing or unreadable, or nothing in it fits.
    """
    key, path = "MODEL.WARM_START_PATH", model_cfg.WARM_START_PATH
    if model_cfg.WARM_START_HEAD == IF_IT_FITS:
        return load_weights(model, path, key, MODEL_PREFIXES)
    there = peek(path).get("classes", {})
    if list(there.items()) == [(task, list(names)) for task, names in classes.items()]:  # heads are numbered by task
        logger.warning("%s: the same classes there and here: weights of the head are taken, too", key)
        return load_weights(model, path, key, MODEL_PREFIXES)
    what = f"its classes are others ({_shown(there)} there, {_shown(classes)} here)" if there else "it names no classes"
    logger.warning("%s: %s: the head starts anew", key, what)
    load_weights(model, path, key, MODEL_PREFIXES, without=("head.", "heads."))
    return None


def _shown(classes: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{task}: {few(names, 3)}" for task, names in classes.items())


def load_weights(
    module: nn.Module, path: str, key: str, prefixes: Sequence[str], without: tuple[str, ...] = ()
) -> None:
    """Copies the weights that fit by name and shape, and logs how many did.

    The weights of a first layer for colour images are adapted to grey ones and the reverse.

    Args:
        module: changed in place.
        path: a state dict (.pt, .pth, .safetensors), or a checkpoint that holds one, ours included.
        key: of the config that names the path, for messages.
        prefixes: which a file may have before the module's own names.
        without: beginnings of names whose weights are left as they are.

    Raises:
        ConfigError: the file is missing or unreadable, or nothing in it fits.
    """
    weights = read_weights(Path(path), key)
    own = module.state_dict()
    candidates = [_renamed(weights, prefix, own) for prefix in prefixes]
    found = max(candidates, key=lambda named: sum(name in own for name in named))
    found = {name: value for name, value in found.items() if not name.startswith(without)}
    fitting = {}
    for name, value in found.items():
        if name in own:
            value = _with_channels_of(own[name], value)
            if value.shape == own[name].shape:
                fitting[name] = value
    if not fitting:
        raise ConfigError(
            f"none of the {len(weights)} tensors in {path} fits by name and shape; it holds "
            f"{', '.join(list(weights)[:3])} ..., the model has {', '.join(list(own)[:3])} ...",
            key=key,
        )
    module.load_state_dict(fitting, strict=False)
    other_shape = [f"{n} {tuple(v.shape)}" for n, v in found.items() if n in own and n not in fitting]
    absent = [name for name in own if name not in found]
    unused = [name for name in found if name not in own]
    left = ((other_shape, "of another shape there"), (absent, "not there"), (unused, "there have no use here"))
    rest = "".join(f"; {len(names)} {what}: {few(names)}" for names, what in left if names)
    level = logging.WARNING if other_shape or absent else logging.INFO
    logger.log(level, "%s: %d of the model's %d tensors are from %s%s", key, len(fitting), len(own), path, rest)


def read_weights(path: Path, key: str) -> dict[str, torch.Tensor]:
    """Reads the state dict of a file.

    Raises:
        ConfigError: the file is missing or unreadable, or holds no state dict.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: no such file", key=key)
    content: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = read_torch_file(path)
    except Exception as error:  # torch's reader raises whatever the damage happens to trip over
        why = str(error) if isinstance(error, ClaimError) else type(error).__name__
        raise ConfigError(f"{path}: cannot be read as weights ({why})", key=key) from None
    for container in _CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping) and content[container]:
            content = content[container]
            break
    weights = {n: v for n, v in content.items() if torch.is_tensor(v)} if isinstance(content, Mapping) else {}
    if not weights:
        raise ConfigError(f"{path}: holds no state dict", key=key)
    return weights


def _renamed(weights: Mapping[str, torch.Tensor], prefix: str, own: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Returns the weights under the module's names.

    timm models sit one level down, in `model`; files made by timm itself know nothing of that.
    """
    bare = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    return {(f"model.{name}" if name not in own and f"model.{name}" in own else name): v for name, v in bare.items()}


def _with_channels_of(own: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Returns the weights of a first convolution for the number of input channels that `own` has."""
    is_stem = own.ndim == value.ndim == 4 and {own.shape[1], value.shape[1]} == {1, 3}
    if not is_stem or own.shape[0] != value.shape[0]:
        return value
    if own.shape[1] == 1:
        return adapt_input_conv(1, value)
    return value.repeat(1, 3, 1, 1) / 3
