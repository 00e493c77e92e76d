"""Predicts classes with trained models.

python -m trainable.predict --checkpoint experiments/x/best.pt --data data/raw/bengali -o submission.csv
python -m trainable.predict --checkpoint experiments/x/best.pt --data pictures/ -o predictions.parquet
python -m trainable.predict --checkpoint a/best.pt b/best.pt --data table.csv --tta 4 -o predictions.parquet
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from configs.command_line import command_parser, output_file_problems
from configs.errors import ConfigError, counted, exit_status
from configs.files import shown_path, write_atomically
from trainable.prediction import (
    add_model_arguments,
    described_models,
    model_problems,
    predict_all,
    prediction_table,
    reading_cfg,
)

if TYPE_CHECKING:
    from data.unlabelled import Submission
    from trainable.predictor import TrainedModel


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "trainable.predict", __doc__, "Predicts classes of images with the models of one or several checkpoints."
    )
    add_model_arguments(
        parser,
        "folder with Kaggle's test files, folder of images, or .csv or .parquet table of images, whose paths "
        "start at the table's folder",
    )
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help=".csv or .parquet; must not exist yet")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: predict(args))


def predict(args: argparse.Namespace) -> int:
    """Checks what can be checked without torch, then predicts."""
    output = Path(args.output)
    from data.unlabelled import check_source, unlabelled_images

    problems = model_problems(args)
    problems += output_file_problems(output, (".csv", ".parquet"))
    problems.check()
    check_source(Path(args.data))
    print("importing torch ...", flush=True)
    from trainable.predictor import load_models

    models = load_models(args.checkpoint, args.pairs, args.allow_code)
    dataset_cfg = reading_cfg(models[0], args)
    images, submission = unlabelled_images(Path(args.data), dataset_cfg)
    if submission:
        _check_tasks(submission, models[0])
    names, probabilities = predict_all(models, images, args.tta, args.batch_size)
    table = (
        _submission_table(submission, names, probabilities, models[0].classes)
        if submission
        else prediction_table(names, probabilities, models[0].classes)
    )
    is_csv = output.suffix == ".csv"
    write_atomically(output, table.to_csv(index=False) if is_csv else table.to_parquet(index=False))
    for line in images.remarks():
        print(line)
    print(f"{counted(len(names), 'image')}, {described_models(args)}: {shown_path(output)}")
    return 0


def _check_tasks(submission: "Submission", model: "TrainedModel") -> None:
    unknown = sorted(set(submission.tasks) - set(model.classes))
    if unknown:
        raise ConfigError(
            f"--checkpoint: the model knows the tasks {', '.join(model.classes)}, but the submission asks for "
            f"{', '.join(unknown)}"
        )


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


if __name__ == "__main__":
    sys.exit(main())
