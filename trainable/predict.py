"""Predicts classes with trained models.

python -m trainable.predict --checkpoint experiments/x/best.pt --data data/raw/bengali -o submission.csv
python -m trainable.predict --checkpoint experiments/x/best.pt --data pictures/ -o predictions.parquet
python -m trainable.predict --checkpoint a/best.pt b/best.pt --data table.csv --tta 4 -o predictions.parquet
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.command_line import command_parser, output_file_problems
from configs.errors import ConfigError, exit_status
from configs.files import shown_path, write_atomically

if TYPE_CHECKING:
    from data.unlabelled import Submission, UnlabelledImages
    from trainable.predictor import TrainedModel


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "trainable.predict", __doc__, "Predicts classes of images with the models of one or several checkpoints."
    )
    parser.add_argument("--checkpoint", metavar="PT", nargs="+", required=True, help="several are averaged")
    parser.add_argument(
        "--data",
        metavar="PATH",
        required=True,
        help="folder with Kaggle's test files, folder of images, or .csv or .parquet table of images, whose paths "
        "start at the table's folder",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help=".csv or .parquet; must not exist yet")
    parser.add_argument(
        "--tta", metavar="N", type=int, default=0, help="also predict N augmented versions of each image, and average"
    )
    parser.add_argument("--batch-size", metavar="N", type=int, default=64, help="images at a time (default: 64)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_args(argv)
    return exit_status(lambda: predict(args))


def predict(args: argparse.Namespace) -> int:
    """Checks what can be checked without torch, then predicts."""
    output = Path(args.output)
    from data.unlabelled import UnlabelledImages, check_source

    _check(args, output)
    check_source(Path(args.data))
    print("importing torch ...", flush=True)
    from trainable.predictor import load_models

    models = load_models(args.checkpoint)
    images = UnlabelledImages(Path(args.data), models[0].cfg.DATASET)
    if images.submission:
        _check_tasks(images.submission, models[0])
    names, probabilities = _predict_all(models, images, args.tta, args.batch_size)
    table = (
        _submission_table(images.submission, names, probabilities, models[0].classes)
        if images.submission
        else _table(names, probabilities, models[0].classes)
    )
    is_csv = output.suffix == ".csv"
    write_atomically(output, table.to_csv(index=False) if is_csv else table.to_parquet(index=False))
    for line in images.remarks():
        print(line)
    print(f"{len(names)} images, {len(models)} model(s), {1 + args.tta} version(s) of each: {shown_path(output)}")
    return 0


def _check(args: argparse.Namespace, output: Path) -> None:
    problems = [
        f"--checkpoint: {path}: {'is a folder; give best.pt in it' if Path(path).is_dir() else 'no such file'}"
        for path in args.checkpoint
        if not Path(path).is_file()
    ]
    problems += output_file_problems(output, (".csv", ".parquet"))
    for flag, value, lowest in (("--tta", args.tta, 0), ("--batch-size", args.batch_size, 1)):
        if value < lowest:
            problems.append(f"{flag}: found {value}, allowed is at least {lowest}")
    if problems:
        raise ConfigError(problems)


def _check_tasks(submission: "Submission", model: "TrainedModel") -> None:
    unknown = sorted(set(submission.tasks) - set(model.classes))
    if unknown:
        raise ConfigError(
            f"--checkpoint: the model knows the tasks {', '.join(model.classes)}, but the submission asks for "
            f"{', '.join(unknown)}"
        )


def _predict_all(
    models: "Sequence[TrainedModel]", images: "UnlabelledImages", tta: int, batch_size: int
) -> tuple[list[str], list[np.ndarray]]:
    """Returns the names of the images that could be read, and an array (images, classes) a task."""
    from rich.progress import track

    from trainable.predictor import average

    names: list[str] = []
    batches = []
    total = -(-len(images) // batch_size)
    for number, batch in enumerate(track(_batched(images, batch_size), "predicting", total, transient=True)):
        names += [name for name, _ in batch]
        pictures = [image for _, image in batch]
        batches.append(average([model.probabilities(pictures, seed=number, augmented=tta) for model in models]))
    if not batches:
        raise ConfigError(f"--data: none of the {len(images)} images can be read, {images.unreadable[0]} first")
    return names, [np.concatenate(of_task) for of_task in zip(*batches, strict=True)]


def _batched(images: "UnlabelledImages", size: int) -> Iterator[list[tuple[str, np.ndarray]]]:
    rest = iter(images)
    while batch := list(islice(rest, size)):
        yield batch


def _submission_table(
    submission: "Submission", names: list[str], probabilities: list[np.ndarray], classes: dict[str, tuple[str, ...]]
) -> Any:
    import pandas as pd

    position = {name: number for number, name in enumerate(names)}
    predicted = {
        task: [class_names[label] for label in of_task.argmax(axis=1)]
        for (task, class_names), of_task in zip(classes.items(), probabilities, strict=True)
    }
    rows = zip(submission.images, submission.tasks, strict=True)
    return pd.DataFrame(
        {"row_id": submission.row_ids, "target": [predicted[task][position[image]] for image, task in rows]}
    )


def _table(names: list[str], probabilities: list[np.ndarray], classes: dict[str, tuple[str, ...]]) -> Any:
    """Returns a row an image: for each task the class and its probability, then the probability of each class."""
    import pandas as pd

    columns: dict[str, Any] = {"image": names}
    for (task, class_names), of_task in zip(classes.items(), probabilities, strict=True):
        columns[task] = [class_names[label] for label in of_task.argmax(axis=1)]
        columns[f"{task}_probability"] = of_task.max(axis=1)
    for (task, class_names), of_task in zip(classes.items(), probabilities, strict=True):
        columns |= {f"{task}={name}": of_task[:, label] for label, name in enumerate(class_names)}
    return pd.DataFrame(columns)


if __name__ == "__main__":
    sys.exit(main())
