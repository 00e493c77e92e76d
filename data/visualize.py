"""Draws what a config does to images: raw, prepared and augmented samples, and how many images each class has.

python -m data.visualize --cfg configs/experiments/digits.yaml
python -m data.visualize --cfg configs/experiments/digits.yaml -o pictures DATASET.AUGMENTATION.ROTATION_DEGREE 40
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from configs.command_line import add_config_arguments, command_parser
from configs.errors import ConfigError, exit_status, with_sources
from configs.figures import NO_MATPLOTLIB, drawable, new_figure, save_figure
from configs.files import shown_path
from configs.loader import export_secrets, read_cfg
from configs.user_modules import import_user_modules
from data.build import build_dataset, processed_data
from data.image_files import ImageFiles, UnreadableImageError
from data.preparation import Preparation
from data.raw_data import RAW_DATA_REGISTRY, RawImages
from data.splits import Classes, SplitConstraints, split

AUGMENTED = 4  # versions of each sample
LINE = 24  # characters of a row's name


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
    for note in loaded.notes:
        print(f"note: {note}")
    export_secrets(loaded.cfg)
    try:
        new_figure(1, 1)
    except ImportError:
        raise ConfigError(NO_MATPLOTLIB) from None
    with with_sources(loaded.sources):
        import_user_modules(loaded.cfg.USER_MODULES)
        return _draw(loaded.cfg, args.samples, Path(args.output))


@dataclass(frozen=True)
class _Overview:
    """What is drawn of a data set.

    Attributes:
        samples: some images as they came, by what their row is named.
        labels: of all images, int64 of shape (N, tasks).
        classes: for each task, by name, the names of its classes.
        constraints: what the data says about the split.
        notes: what people should know, a line each.
    """

    samples: dict[str, np.ndarray]
    labels: np.ndarray
    classes: Classes
    constraints: SplitConstraints
    notes: Sequence[str]


def _draw(cfg: CfgNode, count: int, folder: Path) -> int:
    data = _overview(cfg.DATASET, count)
    if not data.samples:
        raise ConfigError(
            f"none of the {len(data.labels)} images can be read; look at {cfg.DATASET.PATH_DATA_RAW}",
            key="DATASET.PATH_DATA_RAW",
        )
    folder.mkdir(parents=True, exist_ok=True)
    draw_samples(folder / "samples.png", data.samples, cfg)
    parts = split(data.labels, data.classes, cfg.DATASET, data.constraints)
    draw_classes(folder / "classes.png", data.labels, data.classes, parts)
    for line in data.notes:
        print(f"data: {line}")
    print(f"{shown_path(folder / 'samples.png')}\n{shown_path(folder / 'classes.png')}")
    return 0


def _overview(dataset_cfg: CfgNode, count: int) -> _Overview:
    if dataset_cfg.NAME not in RAW_DATA_REGISTRY:
        data = build_dataset(dataset_cfg)
        chosen = np.linspace(0, len(data.labels) - 1, min(count, len(data.labels))).astype(int).tolist()
        samples = {f"{index}\n{_named(data.labels[index], data.classes)}": data.images[index] for index in chosen}
        return _Overview(samples, data.labels, data.classes, SplitConstraints(), data.notes)
    raw = RAW_DATA_REGISTRY[dataset_cfg.NAME](dataset_cfg).read()
    readable = ((position, image) for position, image in _spread(raw, count) if image is not None)
    samples = {
        f"{raw.ids[position]}\n{_named(raw.labels[position], raw.classes)}": image
        for position, image in islice(readable, count)
    }
    known = processed_data(dataset_cfg).known_constraints()  # with duplicates, once the images were read
    return _Overview(samples, raw.labels, raw.classes, known or raw.constraints, raw.notes)


def _spread(raw: RawImages, count: int) -> Iterator[tuple[int, np.ndarray | None]]:
    """Gives images from all over the data where single ones can be asked for, the first ones otherwise."""
    if not isinstance(raw.images, ImageFiles):
        yield from raw.images()
        return
    step = max(1, len(raw.images) // count)
    for position in (*range(0, len(raw.images), step), *range(len(raw.images))):
        try:
            yield position, raw.images[position]
        except UnreadableImageError:
            yield position, None


def _named(labels: np.ndarray, classes: Classes) -> str:
    """Returns the class of an image, with its task where there are several."""
    named = [
        (f"{task}: " if len(classes) > 1 else "") + names[label]
        for label, (task, names) in zip(labels, classes.items(), strict=True)
    ]
    return "\n".join(named)


def draw_samples(path: Path, samples: Mapping[str, np.ndarray], cfg: CfgNode) -> None:
    """Draws a row an image: raw, prepared, and augmented in several ways.

    Args:
        path: of the picture.
        samples: by the names of their rows, uint8 of shape (height, width) or (height, width, 3).
        cfg: the config.
    """
    from data.augmentation import Augmentation  # here: albumentations takes seconds

    preparation, augmentation = Preparation.of(cfg.DATASET), Augmentation(cfg.DATASET.AUGMENTATION)
    titles = ["", "raw", "prepared", *["augmented"] * AUGMENTED]
    with drawable(samples) as shown:
        height = 1.5 * len(samples) + 0.3
        figure = new_figure(1.5 * (3 + AUGMENTED), height, layout=None)
        margins = {"left": 0.0, "right": 0.995, "bottom": 0.05 / height, "top": 1 - 0.25 / height}
        spaces = {"wspace": 0.06, "hspace": 0.06}
        rows = figure.subplots(len(samples), 3 + AUGMENTED, squeeze=False, gridspec_kw=margins | spaces)
        for number, (row, (name, image)) in enumerate(zip(rows, samples.items(), strict=True)):
            prepared = preparation(image)
            pictures = [image, prepared, *(augmentation(prepared, AUGMENTED * number + n) for n in range(AUGMENTED))]
            row[0].text(1, 0.5, _lines(name, shown), ha="right", va="center", fontsize=8, transform=row[0].transAxes)
            for axes, picture in zip(row[1:], pictures, strict=True):
                axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
            for axes, title in zip(row, titles, strict=True):
                axes.axis("off")
                axes.set_title(title if number == 0 else "", fontsize=9)
        save_figure(figure, path)


def _lines(name: str, shown: Callable[[str], str]) -> str:
    """Returns the name of a row as it is to be drawn: of a path the end is left, of classes the beginning."""
    path, *classes = (shown(line) for line in name.split("\n"))
    path = path if len(path) <= LINE else f"...{path[-LINE + 3 :]}"
    return "\n".join([path, *map(_short, classes)])


def _short(name: str) -> str:
    return name if len(name) <= LINE else f"{name[: LINE - 3]}..."


def draw_classes(path: Path, labels: np.ndarray, classes: Classes, parts: tuple[np.ndarray, np.ndarray]) -> None:
    """Draws a histogram a task: the images of each class, for training and for validation.

    Args:
        path: of the picture.
        labels: int64 of shape (N, tasks).
        classes: for each task, by name, the names of its classes.
        parts: indices of the images that are trained and validated on.
    """
    all_names = [*classes, *(name for names in classes.values() for name in names)]
    with drawable(all_names) as shown:
        longest = min(LINE, max(map(len, all_names)))
        figure = new_figure(10, (2.5 + 0.08 * longest) * len(classes))
        places = figure.subplots(len(classes), 1, squeeze=False)[:, 0]
        for task, (axes, names) in enumerate(zip(places, classes.values(), strict=True)):
            below = np.zeros(len(names))
            for part, indices in zip(("training", "validation"), parts, strict=True):
                counts = np.bincount(labels[indices, task], minlength=len(names))
                axes.bar(range(len(names)), counts, bottom=below, label=part)
                below = below + counts
            axes.set(title=f"{shown(list(classes)[task])}: {len(names)} classes", ylabel="images")
            if len(names) <= 40:
                rotation = 90 if max(map(len, names)) > 3 else 0
                axes.set_xticks(range(len(names)), [_short(shown(name)) for name in names], rotation=rotation)
            axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
        save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
