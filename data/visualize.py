"""Draws what a config does to images: raw, prepared and augmented samples, and how many images each class has.

python -m data.visualize --cfg configs/experiments/digits.yaml
python -m data.visualize --cfg configs/experiments/digits.yaml -o pictures DATASET.AUGMENTATION.ROTATION_DEGREE 40
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from configs.command_line import add_config_arguments, command_parser
from configs.errors import ConfigError, exit_status, told_with_places
from configs.files import NO_MATPLOTLIB, save_figure, shown_path
from configs.loader import export_secrets, read_cfg
from configs.user_modules import import_user_modules
from data.build import build_dataset
from data.preparation import Preparation
from data.raw_data import RAW_DATA_REGISTRY
from data.splits import Classes, split

AUGMENTED = 4  # versions of each sample


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "data.visualize",
        __doc__,
        "Draws raw, prepared and augmented samples (samples.png), and images a class (classes.png).",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        default="data/interim",
        help="for the pictures, which are replaced",
    )
    parser.add_argument("--samples", metavar="N", type=int, default=8, help="images to show (default: 8)")
    add_config_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: visualize(args))


def visualize(args: argparse.Namespace) -> int:
    """Writes samples.png and classes.png."""
    if args.samples < 1:
        raise ConfigError(f"--samples: found {args.samples}, allowed is at least 1")
    if Path(args.output).is_file():
        raise ConfigError(f"-o: {args.output} is a file; give a folder")
    loaded = read_cfg(args.cfg, args.pairs)
    export_secrets(loaded.cfg)
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ConfigError(NO_MATPLOTLIB) from None
    with told_with_places(loaded.sources):
        import_user_modules(loaded.cfg.USER_MODULES)
        return _draw(loaded.cfg, args.samples, Path(args.output))


def _draw(cfg: CfgNode, count: int, folder: Path) -> int:
    images, labels, classes = _raw_samples(cfg.DATASET, count)
    folder.mkdir(parents=True, exist_ok=True)
    draw_samples(folder / "samples.png", images, cfg)
    draw_classes(folder / "classes.png", labels, classes, cfg.DATASET)
    print(f"{shown_path(folder / 'samples.png')}\n{shown_path(folder / 'classes.png')}")
    return 0


def _raw_samples(dataset_cfg: CfgNode, count: int) -> tuple[list[np.ndarray], np.ndarray, Classes]:
    """Returns some images as they came, and the labels and classes of all."""
    if dataset_cfg.NAME in RAW_DATA_REGISTRY:
        raw = RAW_DATA_REGISTRY[dataset_cfg.NAME](dataset_cfg).read()
        readable = (image for _, image in raw.each() if image is not None)
        return list(islice(readable, count)), raw.labels, raw.classes
    data = build_dataset(dataset_cfg)
    chosen = np.linspace(0, len(data.labels) - 1, min(count, len(data.labels))).astype(int)
    return [data.images[int(index)] for index in chosen], data.labels, data.classes


def draw_samples(path: Path, images: Sequence[np.ndarray], cfg: CfgNode) -> None:
    """Draws a row an image: raw, prepared, and augmented in several ways.

    Args:
        path: of the picture.
        images: uint8 of shape (height, width) or (height, width, 3).
        cfg: the config.
    """
    from matplotlib.figure import Figure

    from data.augmentation import Augmentation  # here: albumentations takes seconds

    preparation, augmentation = Preparation.of(cfg.DATASET), Augmentation(cfg.DATASET.AUGMENTATION)
    figure = Figure(figsize=(1.5 * (2 + AUGMENTED), 1.5 * len(images) + 0.3), layout="constrained")
    titles = ["raw", "prepared", *["augmented"] * AUGMENTED]
    rows = figure.subplots(len(images), 2 + AUGMENTED, squeeze=False)
    for number, (row, image) in enumerate(zip(rows, images, strict=True)):
        prepared = preparation(image)
        shown = [image, prepared, *(augmentation(prepared, AUGMENTED * number + n) for n in range(AUGMENTED))]
        for axes, picture, title in zip(row, shown, titles, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            axes.axis("off")
            if number == 0:
                axes.set_title(title, fontsize=9)
    save_figure(figure, path)


def draw_classes(path: Path, labels: np.ndarray, classes: Classes, dataset_cfg: CfgNode) -> None:
    """Draws a histogram a task: the images of each class, for training and for validation.

    Args:
        path: of the picture.
        labels: int64 of shape (N, tasks).
        classes: for each task, by name, the names of its classes.
        dataset_cfg: says how they are split.
    """
    from matplotlib.figure import Figure

    parts = dict(zip(("training", "validation"), split(labels, classes, dataset_cfg), strict=True))
    figure = Figure(figsize=(10, 2.5 * len(classes)), layout="constrained")
    for task, (axes, (name, names)) in enumerate(
        zip(figure.subplots(len(classes), 1, squeeze=False)[:, 0], classes.items(), strict=True)
    ):
        below = np.zeros(len(names))
        for part, indices in parts.items():
            counts = np.bincount(labels[indices, task], minlength=len(names))
            axes.bar(range(len(names)), counts, bottom=below, label=part)
            below = below + counts
        axes.set(title=f"{name}: {len(names)} classes", ylabel="images")
        if len(names) <= 40:
            axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
        axes.legend()
    save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
