"""Makes tables for benchmarks/search_quality.py of learning curves that others have published.

git clone https://github.com/nicholaslourie/opda
python benchmarks/import_curves.py opda/data published_tasks

Nicholas Lourie trained AlexNet and ConvNeXt-tiny on ImageNet with 512 random settings each (sgd, the rate rising to a
peak and falling from there, 20 to 100 epochs), and DeBERTa base, old and V3, on MultiNLI with 1,024 (1 to 4 epochs);
licence CC BY-SA 4.0. The number of epochs is one of the hyperparameters: a step of a table is a twentieth of a
training, whatever its length, and costs what that takes. From where a training diverged it counts as chance.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.curve_table import write_table

STEPS = 20


def _range(low: float, high: float, log: bool = False, kind: str = "float") -> dict[str, Any]:
    return {"kind": kind, "low": low, "high": high, "log": log}


IMAGENET = {
    "epochs": _range(20, 100, kind="int"),
    "batch_size": _range(128, 1024, log=True, kind="int"),
    "lr": _range(5e-3, 50.0, log=True),
    "lr_peak": _range(0.0, 0.8),  # a share of the training
    "momentum": _range(0.7, 1.0),
    "weight_decay": _range(1e-6, 1e-3, log=True),
    "label_smoothing": _range(0.0, 0.5),
}
MULTINLI = {
    "num_train_epochs": _range(1, 4, kind="int"),
    "train_batch_size": _range(16, 64, kind="int"),
    "learning_rate": _range(1e-6, 1e-3, log=True),
    "warmup": _range(0.0, 0.6),  # a share of the first epoch
    "cls_drop_out": _range(0.0, 0.3),
}


@dataclass(frozen=True)
class Run:
    """A training.

    Attributes:
        params: its hyperparameters.
        evaluations: share of the training, from 0 to 1, and accuracy; the first is chance, at 0.
        cost: of the whole training.
    """

    params: dict[str, float]
    evaluations: list[tuple[float, float]]
    cost: float

    def curve(self) -> list[float]:
        """Returns the last accuracy that was known at each step."""
        ends = (np.arange(STEPS) + 1 + 1e-9) / STEPS
        return [[value for share, value in self.evaluations if share <= end][-1] for end in ends]


def _known(space: dict[str, Any], row: dict[str, Any]) -> dict[str, float]:
    return {name: row[name] for name in space if name in row}


def read_imagenet(rows: list[dict[str, Any]]) -> list[Run]:
    """Reads the trainings of an image model, whose cost is in seconds."""
    chance = 1 / 1000  # classes
    seconds = [row["learning_curve"][-1]["time"] / len(row["learning_curve"]) for row in rows if row["learning_curve"]]
    typical = np.median(seconds)
    runs = []
    for row in rows:
        epochs, known = row["epochs"], row["learning_curve"]
        values = [chance, *(one["top_1"] for one in known), *[chance] * (epochs - len(known))]
        runs.append(
            Run(
                {**_known(IMAGENET, row), "lr_peak": row["lr_peak_epoch"] / epochs},
                [(number / epochs, value) for number, value in enumerate(values)],
                epochs * (known[-1]["time"] / len(known) if known else typical),
            )
        )
    return runs


def read_multinli(rows: list[dict[str, Any]]) -> list[Run]:
    """Reads the trainings of a text model, whose cost is in epochs."""
    return [
        Run(
            {
                **_known(MULTINLI, row),
                "warmup": row["warmup_steps"] / (row["total_model_steps"] / row["num_train_epochs"]),
            },
            [
                (0.0, 1 / 3),  # classes
                *((step / row["total_model_steps"], value) for step, value in row["learning_curves"]["matched"]),
            ],
            row["num_train_epochs"],
        )
        for row in rows
    ]


Reader = Callable[[list[dict[str, Any]]], list[Run]]
TASKS: dict[str, tuple[Reader, dict[str, Any]]] = {  # by file: its reader and its space
    "alexnet/alexnet_tuning": (read_imagenet, IMAGENET),
    "convnext/convnext-tiny_tuning": (read_imagenet, IMAGENET),
    "deberta/deberta-base_tuning": (read_multinli, MULTINLI),
    "deberta/deberta-v3-base_tuning": (read_multinli, MULTINLI),
}


def main() -> int:
    """Makes a table of each task."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="opda's folder data")
    parser.add_argument("tables", type=Path, help="folder to write to")
    args = parser.parse_args()
    missing = [task for task in TASKS if not (args.data / f"{task}.results.jsonl").is_file()]
    if missing:
        print(f"error: {args.data} has no {missing[0]}.results.jsonl; give the folder data of opda", file=sys.stderr)
        return 2
    args.tables.mkdir(parents=True, exist_ok=True)
    for task, (read, space) in TASKS.items():
        path = args.data / f"{task}.results.jsonl"
        runs = read([json.loads(line) for line in path.read_text().splitlines()])
        write_table(
            args.tables / f"{path.name.split('.')[0]}.parquet",
            space,
            [run.params for run in runs],
            [run.curve() for run in runs],
            [run.cost / STEPS for run in runs],
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
