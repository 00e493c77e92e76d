"""What predicting and evaluating have in common: the models that are given, and the probabilities that they give."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from yacs.config import CfgNode

from configs.defaults import KEYS
from configs.errors import ConfigError, Problems, counted
from configs.loader import with_values

if TYPE_CHECKING:
    from data.given_images import GivenImages
    from trainable.predictor import TrainedModel


def add_model_arguments(parser: argparse.ArgumentParser, images: str) -> None:
    """Adds the arguments that say which models to use, how, and on which images; these are described in words."""
    parser.add_argument("--checkpoint", metavar="PT", nargs="+", required=True, help="several are averaged")
    parser.add_argument("--data", metavar="PATH", required=True, help=images)
    parser.add_argument(
        "--tta", metavar="N", type=int, default=0, help="also predict N augmented versions of each image, and average"
    )
    parser.add_argument(
        "--skip-unreadable", action="store_true", help="leave out images that cannot be read, instead of stopping"
    )
    parser.add_argument("--batch-size", metavar="N", type=int, default=64, help="images at a time (default: 64)")
    add_code_arguments(parser)


def add_code_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say whose code a checkpoint may run, and the KEY VALUE pairs."""
    parser.add_argument(
        "--allow-code",
        action="store_true",
        help="run the USER_MODULES of a checkpoint that lies elsewhere than below the working folder",
    )
    parser.add_argument(
        "pairs",
        nargs="*",
        metavar="KEY VALUE",
        help="keys that may be others than in training: USER_MODULES [parts.py], DATASET.MAX_PIXELS ...",
    )


def model_problems(args: argparse.Namespace) -> Problems:
    """Returns what is wrong with the arguments of `add_model_arguments`."""
    problems = Problems()
    problems += [
        f"--checkpoint: {path}: {_what_is_there(path)}" for path in args.checkpoint if not Path(path).is_file()
    ]
    for flag, value, lowest in (("--tta", args.tta, 0), ("--batch-size", args.batch_size, 1)):
        if value < lowest:
            problems.add(f"{flag}: found {value}, allowed is at least {lowest}")
    return problems


def _what_is_there(path: str) -> str:
    if path in KEYS:
        return "is a config key; give KEY VALUE pairs before --checkpoint, which takes several files"
    return "is a folder; give best.pt in it" if Path(path).is_dir() else "no such file"


def described_models(args: argparse.Namespace) -> str:
    """Returns in words what predicts, as in `2 models, 5 versions of each image`."""
    return f"{counted(len(args.checkpoint), 'model')}, {counted(1 + args.tta, 'version')} of each image"


def reading_cfg(model: "TrainedModel", args: argparse.Namespace) -> CfgNode:
    """Returns the DATASET node of a model, which says how images are read, with what the arguments change of it."""
    cfg = with_values(model.cfg, {"DATASET.ON_UNREADABLE": "skip"}) if args.skip_unreadable else model.cfg
    return cfg.DATASET


def predict_all(
    models: "Sequence[TrainedModel]", images: "GivenImages", tta: int, batch_size: int
) -> tuple[list[str], list[np.ndarray]]:
    """Returns the names of the images that could be read, and probabilities, an array (images, classes) a task.

    Args:
        models: are averaged.
        images: to predict.
        tta: how many augmented versions of each image are averaged with it.
        batch_size: images at a time.

    Raises:
        ConfigError: images cannot be read.
    """
    from data.progress import image_progress
    from trainable.predictor import average

    names: list[str] = []
    batches = []
    with image_progress() as on_image:
        for number, batch in enumerate(_batched(images, batch_size)):
            names += [name for name, _ in batch]
            pictures = [image for _, image in batch]
            batches.append(average([model.probabilities(pictures, seed=number, augmented=tta) for model in models]))
            on_image(len(names), len(images))
    if not batches:
        raise ConfigError(f"--data: none of the {len(images)} images can be read, {images.unreadable[0]} first")
    return names, [np.concatenate(of_task) for of_task in zip(*batches, strict=True)]


def _batched(images: "GivenImages", size: int) -> Iterator[list[tuple[str, np.ndarray]]]:
    rest = iter(images)
    while batch := list(islice(rest, size)):
        yield batch


def prediction_table(names: list[str], probabilities: list[np.ndarray], classes: dict[str, tuple[str, ...]]) -> Any:
    """Returns a row an image: for each task the class and its probability, then the probability of each class."""
    import pandas as pd

    columns: dict[str, Any] = {"file" if "image" in classes else "image": names}
    for (task, class_names), of_task in zip(classes.items(), probabilities, strict=True):
        columns[task] = [class_names[label] for label in of_task.argmax(axis=1)]
        columns[f"{task}_probability"] = of_task.max(axis=1)
    for (task, class_names), of_task in zip(classes.items(), probabilities, strict=True):
        columns |= {f"{task}={name}": of_task[:, label] for label, name in enumerate(class_names)}
    return pd.DataFrame(columns)
