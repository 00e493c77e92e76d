"""The metrics that every epoch reports: a public interface, used in space files, csv headers and callbacks."""

from collections.abc import Sequence
from typing import Any, Literal

# name -> whether lower or higher is better; None where the metric is not one to optimise
METRICS: dict[str, str | None] = {
    "epoch": None,  # counted from 1
    "lr": None,  # learning rate of the epoch's last update
    "train_loss": "min",  # mean over the epoch's batches, as trained: augmented, with dropout
    "train_acc": "max",  # mean over tasks of the share of images classified correctly
    "train_score": "max",  # the data set's weighted mean over tasks of the macro recall
    "val_loss": "min",
    "val_acc": "max",
    "val_score": "max",
    "seconds": "min",  # wall time of the epoch, training and evaluation
    "params": "min",  # of the model, frozen ones included
    "macs": "min",  # multiply-accumulates for one image
    "images_per_second": "max",  # evaluated, on this machine as busy as it is
}

# Those that are whole numbers.
WHOLE = ("epoch", "params", "macs")

# Those that an epoch does not change.
CONSTANT_METRICS = ("params", "macs")

# Those that are shares: between 0 and 1.
SHARES = ("train_acc", "train_score", "val_acc", "val_score")

# What differs between two runs of one config.
TIMES = ("seconds", "images_per_second")

OBJECTIVES = tuple(name for name, better in METRICS.items() if better)


def sign(metric: str) -> int:
    """Returns 1 for a metric that is better the higher it is, -1 for the others."""
    return 1 if METRICS[metric] == "max" else -1


def direction(metric: str) -> Literal["minimize", "maximize"]:
    """Returns what Optuna is told to do with a metric."""
    return "maximize" if METRICS[metric] == "max" else "minimize"


def best_row(metric: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the row with the best value of a metric; of equals, the earliest.

    Args:
        metric: one of OBJECTIVES.
        rows: the metrics of epochs, at least one.
    """
    return max(rows, key=lambda row: sign(metric) * row[metric])
