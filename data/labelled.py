"""Images with labels that a model is evaluated on: folders of classes, a table, or Kaggle's training files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.errors import ConfigError, counted, did_you_mean
from data.bengali import BengaliRaw, part_files
from data.given_images import GivenImages, KaggleImages, images_of_table, is_folder
from data.image_files import Decoder, FoundImages, ImageFiles, described, images_in, printable
from data.image_folder import class_folders
from data.image_table import TEST, check_column, read_sides, read_table

TRAINED_ON = "the model was trained on most of these images: what it scores says little of new ones"

Labels = dict[str, list[str]]  # for each task the name of each image's class


def check_labelled(path: Path) -> None:
    """Tells what can be told without a model.

    Raises:
        ConfigError: there are no labelled images at this path.
    """
    if is_folder(path) and not _is_kaggle(path) and not any(found.files for found in _folders(path)[0].values()):
        raise ConfigError(
            f"--data: {path} holds no folders with images, and no train.csv with train_image_data_*.parquet; expected "
            "one folder a class, named as the model's classes"
        )


def labelled_images(
    path: Path, dataset_cfg: CfgNode, classes: dict[str, tuple[str, ...]]
) -> tuple[GivenImages, Labels]:
    """Returns the images to evaluate on, and their labels, which may be of classes that the model does not know.

    Args:
        path: a folder with one folder a class, a .csv or .parquet table, or a folder with Kaggle's training files.
        dataset_cfg: of the model: how images are read.
        classes: of the model, by task.

    Raises:
        ConfigError: files or labels are missing.
    """
    if path.is_file():
        return _of_table(path, dataset_cfg, classes)
    if _is_kaggle(path):
        return _of_kaggle(path, dataset_cfg, classes)
    return _of_folders(path, dataset_cfg, classes)


def _is_kaggle(path: Path) -> bool:
    return bool(part_files(path, "train"))


def _of_table(path: Path, dataset_cfg: CfgNode, classes: dict[str, tuple[str, ...]]) -> tuple[GivenImages, Labels]:
    table = read_table(path)
    for task in classes:
        check_column(table, path, task, "--data: the model's tasks are columns of the table")
    note, column = "", dataset_cfg.TABLE.SPLIT_COLUMN
    if column in table:
        is_test = read_sides(table[column], path) == TEST[0]
        if is_test.any():
            note = f"{counted(int(is_test.sum()), 'image')}, whose {column} is {TEST[0]}, of {len(table)} in the table"
            table = table[is_test]
        else:
            note = f"no row of the table has the {column} {TEST[0]}: all are evaluated, with those that were trained on"
    elif dataset_cfg.TABLE.PATH and path.resolve() == Path(dataset_cfg.TABLE.PATH).resolve():
        note = TRAINED_ON
    images = images_of_table(table, path, dataset_cfg, note)
    return images, {task: [_name_of(value, names) for value in table[task]] for task, names in classes.items()}


def _name_of(value: Any, names: Sequence[str]) -> str:
    """Returns the name of a class in a table, which may have been a number there: 01 is read as 1."""
    name = str(value)
    if name in names or not name.isdigit():
        return name
    return next((known for known in names if known.isdigit() and int(known) == int(name)), name)


def _of_kaggle(path: Path, dataset_cfg: CfgNode, classes: dict[str, tuple[str, ...]]) -> tuple[GivenImages, Labels]:
    images = KaggleImages(dataset_cfg, part_files(path, "train"))
    here = dataset_cfg.clone()
    here.defrost()
    here.PATH_DATA_RAW = str(path)
    raw = BengaliRaw(here).read()
    position = {name: number for number, name in enumerate(raw.ids)}
    rows = [position[name] for name in images.names]
    return images, {
        task: [raw.classes[task][label] for label in raw.labels[rows, number]] for number, task in enumerate(classes)
    }


def _of_folders(path: Path, dataset_cfg: CfgNode, classes: dict[str, tuple[str, ...]]) -> tuple[GivenImages, Labels]:
    if len(classes) > 1:
        raise ConfigError(
            f"--data: {path} has one folder a class, but the model has the tasks {', '.join(classes)}; give a table "
            "with a column for each"
        )
    folders, beside = _folders(path)
    files = [file for found in folders.values() for file in found.files]
    left_out = sum((found.left_out for found in folders.values()), beside)
    what = f"{counted(len(files), 'image')} of {sum(bool(found.files) for found in folders.values())} classes"
    is_trained_on = dataset_cfg.NAME == "image_folder" and path.resolve() == Path(dataset_cfg.PATH_DATA_RAW).resolve()
    images = GivenImages(
        dataset_cfg,
        ImageFiles(files, Decoder.of(dataset_cfg)),
        [printable(str(file.relative_to(path))) for file in files],
        described(what, left_out) + (f"; {TRAINED_ON}" if is_trained_on else ""),
    )
    return images, {next(iter(classes)): [name for name, found in folders.items() for _ in found.files]}


def _folders(path: Path) -> tuple[dict[str, FoundImages], Counter[str]]:
    folders, beside = class_folders(path)
    return {printable(folder.name): images_in(folder) for folder in folders}, beside


def unknown_classes(labels: Labels, classes: dict[str, tuple[str, ...]]) -> list[str]:
    """Returns, a line a task, which labels are of classes that the model does not know.

    Args:
        labels: from `labelled_images`.
        classes: of the model, by task.
    """
    lines = []
    for task, names in classes.items():
        unknown = Counter(name for name in labels[task] if name not in names)
        if unknown:
            found = ", ".join(f"{name} ({count})" for name, count in unknown.most_common(5))
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            lines.append(
                f"{task}: the model does not know {found}{more}.{did_you_mean(next(iter(unknown)), names)} "
                f"Predicted, but in no metric: {counted(unknown.total(), 'image')}"
            )
    return lines
