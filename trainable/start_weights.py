"""What a model starts from: which weights, what they were trained with, and what tells them from others."""

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.defaults import AUTO
from configs.tree import get_value
from configs.yaml_file import parse_yaml
from trainable.backbone.pretrained import pretrained_cfg, timm_name, weights_file
from trainable.checkpoint import peek

MEAN, STD = "DATASET.NORMALIZE_MEAN", "DATASET.NORMALIZE_STD"
WARM_START, PATH, BY_NAME = "MODEL.WARM_START_PATH", "MODEL.BACKBONE.PRETRAINED_PATH", "MODEL.BACKBONE.PRETRAINED"

WITHOUT_WEIGHTS = (0.5,)  # mean and std
FAR = 2.0  # how many times larger or smaller than those of the weights images may be before it is said


def normalization(cfg: CfgNode) -> dict[str, tuple[float, ...]]:
    """Returns mean and std, by key, with what `auto` stands for; one value each for images of one channel."""
    found = {key: get_value(cfg, key) for key in (MEAN, STD)}
    if AUTO in found.values():
        own = _trained_with(cfg)
        found = {key: own.get(key, WITHOUT_WEIGHTS) if value == AUTO else value for key, value in found.items()}
    if not cfg.DATASET.TO_RGB:
        found = {key: (sum(values) / len(values),) for key, values in found.items()}
    return found


def hints(cfg: CfgNode) -> list[str]:
    """Returns what people should know about a config and the weights that its model starts from."""
    size = _trained_with(cfg).get("size")
    shape = tuple(cfg.DATASET.RESIZE_SHAPE)
    if size and not all(1 / FAR <= ours / theirs <= FAR for ours, theirs in zip(shape, size, strict=True)):
        return [
            f"DATASET.RESIZE_SHAPE is {shape[0]}x{shape[1]}, and the weights that {cfg.MODEL.BACKBONE.NAME} starts "
            f"from were trained on {size[0]}x{size[1]}: features may say less at a size so different"
        ]
    return []


def checksums(cfg: CfgNode) -> dict[str, str]:
    """Returns the SHA-256 of each file of weights that the model starts from, by the key that asks for it."""
    return {key: _checksum(path, path.stat().st_mtime_ns, path.stat().st_size) for key, path in _files(cfg)}


def other_weights(recorded: dict[str, str], here: dict[str, str]) -> list[str]:
    """Returns, a line each, which weights are not those that a config was trained with.

    Args:
        recorded: checksums that a dumped config names.
        here: those of the files here.
    """
    return [
        f"{key}: these are not the weights that this config was trained with (SHA-256 {recorded[key][:12]} there, "
        f"{now[:12]} here): the numbers will be others"
        for key, now in here.items()
        if recorded.get(key, now) != now
    ]


def _files(cfg: CfgNode) -> Iterator[tuple[str, Path]]:
    name = timm_name(cfg.MODEL.BACKBONE.NAME)
    if cfg.MODEL.BACKBONE.PRETRAINED and name:
        yield BY_NAME, weights_file(name)
    for key in (PATH, WARM_START):
        if get_value(cfg, key):
            yield key, Path(get_value(cfg, key))


@lru_cache(maxsize=32)
def _checksum(path: Path, modified: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trained_with(cfg: CfgNode) -> dict[str, Any]:
    """Returns what the weights were trained with, as far as that is known: mean and std by key, and the size."""
    for key in (WARM_START, PATH):  # the whole model's come last, and stay
        if get_value(cfg, key):
            path = Path(get_value(cfg, key))
            found = _of_checkpoint(path, path.stat().st_mtime_ns) if path.is_file() else {}
            if found:
                return found
    name = timm_name(cfg.MODEL.BACKBONE.NAME)
    if name and (cfg.MODEL.BACKBONE.PRETRAINED or cfg.MODEL.BACKBONE.PRETRAINED_PATH):
        of_weights = pretrained_cfg(name)
        if of_weights is not None:
            return {
                MEAN: tuple(map(float, of_weights.mean)),
                STD: tuple(map(float, of_weights.std)),
                "size": tuple(of_weights.input_size[1:]),
            }
    return {}


@lru_cache(maxsize=32)
def _of_checkpoint(path: Path, modified: int) -> dict[str, Any]:
    """Returns what a checkpoint of ours was trained with; nothing for another file."""
    content = peek(path)
    if "config" not in content:
        return {}
    dataset = parse_yaml(content["config"], str(path))["DATASET"]
    derived = content.get("derived", {})
    given = {key: derived.get(key) or dataset[key.removeprefix("DATASET.")] for key in (MEAN, STD)}
    size = tuple(int(side) for side in dataset["RESIZE_SHAPE"])
    return {**{key: tuple(map(float, values)) for key, values in given.items()}, "size": size}
