"""Evaluates trained models on labelled images, as on some that were held out.

python -m trainable.evaluate --checkpoint experiments/x/best.pt --data data/raw/birds_test -o experiments/x-test
python -m trainable.evaluate --checkpoint a/best.pt b/best.pt --data held_out.csv --tta 4 -o experiments/ab-test
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs.command_line import command_parser
from configs.errors import ConfigError, collect_errors, counted, exit_status, few
from configs.figures import NO_MATPLOTLIB
from configs.files import shown_path, write_atomically
from trainable.evaluation.metrics import ClassificationMetrics
from trainable.prediction import (
    add_model_arguments,
    described_models,
    model_problems,
    predict_all,
    prediction_table,
    reading_cfg,
)

WORST = 5  # classes that are shown

Classes = dict[str, tuple[str, ...]]


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "trainable.evaluate",
        __doc__,
        "Evaluates the models of one or several checkpoints on labelled images; classes are matched by their names.",
    )
    add_model_arguments(
        parser,
        "folder with one folder a class, .csv or .parquet table with a column of labels for each task of the "
        "model (its paths start at the table's folder), or folder with Kaggle's training files",
    )
    parser.add_argument("-o", "--output", metavar="DIR", required=True, help="for the results; must be new or empty")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: evaluate(args))


def evaluate(args: argparse.Namespace) -> int:
    """Checks what can be checked without torch, then evaluates."""
    output = Path(args.output)
    from data.labelled import check_labelled, labelled_images, unknown_classes

    collect_errors(lambda: _check_arguments(args, output), lambda: check_labelled(Path(args.data)))
    print("importing torch ...", flush=True)
    from trainable.predictor import load_models

    models = load_models(args.checkpoint, args.pairs, args.allow_code)
    dataset_cfg = reading_cfg(models[0], args)
    classes = models[0].classes
    images, labels = labelled_images(Path(args.data), dataset_cfg, classes)
    names, probabilities = predict_all(models, images, args.tta, args.batch_size)
    given = {task: [labels[task][position] for position in images.read] for task in classes}
    metrics = measure(probabilities, given, classes, models[0].task_weights)

    output.mkdir(parents=True, exist_ok=True)
    _write_tables(output, metrics, names, probabilities, given, classes)
    try:
        from trainable.evaluation.confusion_picture import draw_confusion

        draw_confusion(output / "confusion.png", metrics, classes)
    except ImportError:
        print(f"no picture of confused classes: {NO_MATPLOTLIB}")
    for line in (*images.remarks(), *unknown_classes(labels, classes), *_absent(metrics, classes)):
        print(line)
    measured = int(next(iter(metrics.confusion.values())).sum())
    _tell(metrics, f"{counted(measured, 'image')}, {described_models(args)}")
    print(f"all files in {shown_path(output)}")
    return 0


def _check_arguments(args: argparse.Namespace, output: Path) -> None:
    problems = model_problems(args)
    if output.is_file():
        problems.add(f"-o: {output} is a file; give a folder")
    elif output.is_dir() and any(output.iterdir()):
        problems.add(f"-o: {output}: the folder is not empty; give another one")
    problems.check()


def measure(
    probabilities: Sequence[np.ndarray], labels: dict[str, list[str]], classes: Classes, task_weights: Sequence[float]
) -> ClassificationMetrics:
    """Returns the metrics of predictions; images with a class that the models do not know are left out.

    The loss is the cross entropy, summed over tasks, of the probabilities.

    Args:
        probabilities: of each task, of shape (images, classes).
        labels: for each task the name of each image's class.
        classes: of the models: for each task, by name, the names of its classes.
        task_weights: of the tasks in the score; equal if empty.

    Raises:
        ConfigError: no image is left.
    """
    numbers = np.array(
        [[names.index(label) if label in names else -1 for label in labels[task]] for task, names in classes.items()]
    ).T
    known = np.flatnonzero((numbers >= 0).all(axis=1))
    if not len(known):
        found = "; ".join(f"{task}: {few(sorted(set(labels[task])))}, known: {few(classes[task])}" for task in classes)
        raise ConfigError(f"--data: no image is of a class that the model knows: {found}")
    right = [of_task[known, numbers[known, task]] for task, of_task in enumerate(probabilities)]
    loss = float(-np.log(np.maximum(right, np.finfo(float).tiny)).sum(axis=0).mean())
    metrics = ClassificationMetrics(classes, task_weights)
    metrics.add(np.stack([of_task[known].argmax(axis=1) for of_task in probabilities], axis=1), numbers[known], loss)
    return metrics


def _absent(metrics: ClassificationMetrics, classes: Classes) -> list[str]:
    """Returns, a line a task, which classes of the models no image is of."""
    lines = []
    for task, names in classes.items():
        absent = [names[label] for label in np.flatnonzero(metrics.confusion[task].sum(axis=1) == 0)]
        if absent:
            lines.append(f"{task}: no image is of {few(absent)} ({len(absent)} of {len(names)} classes)")
    return lines


def _tell(metrics: ClassificationMetrics, what: str) -> None:
    summary = metrics.summary()
    print(f"{what}: score {summary['score']:.4f}  acc {summary['acc']:.4f}  cross entropy {summary['loss']:.4f}")
    for task in metrics.tasks():
        print(f"{task['task']}: acc {task['acc']:.4f}  macro recall {task['recall']:.4f}")
    mistaken = [row for row in metrics.class_table() if row["confused_images"]]
    for row in sorted(mistaken, key=lambda row: float(row["recall"]))[:WORST]:
        taken_for = f"{row['confused_with']} ({row['confused_images']})"
        print(f"  {row['class']}: {row['recall']:.4f} of {row['images']} found, most often taken for {taken_for}")


def _write_tables(
    folder: Path,
    metrics: ClassificationMetrics,
    names: list[str],
    probabilities: list[np.ndarray],
    labels: dict[str, list[str]],
    classes: Classes,
) -> None:
    import pandas as pd

    predictions = prediction_table(names, probabilities, classes)
    for number, task in enumerate(classes):
        name = f"{task}_label"
        while name in predictions:  # another task may have it
            name += "_"
        predictions.insert(1 + number, name, labels[task])
    summary: dict[str, Any] = {"images": int(next(iter(metrics.confusion.values())).sum()), **metrics.summary()}
    tables = {
        "metrics": pd.DataFrame([summary]).rename(columns={"loss": "cross_entropy"}),
        "tasks": pd.DataFrame(metrics.tasks()),
        "classes": pd.DataFrame(metrics.class_table()),
        "predictions": predictions,
    }
    for name, table in tables.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False))


if __name__ == "__main__":
    sys.exit(main())
