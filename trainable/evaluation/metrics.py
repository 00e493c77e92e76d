"""Accuracy, macro recall and the score of predictions."""

from collections.abc import Sequence

import numpy as np


class ClassificationMetrics:
    """Collects predictions batch by batch.

    Args:
        class_counts: number of classes of each task.
        task_weights: weight of each task in the score; equal if empty.
    """

    def __init__(self, class_counts: Sequence[int], task_weights: Sequence[float] = ()):
        # confusion[task][label, prediction] counts images
        self._confusion = [np.zeros((count, count), dtype=np.int64) for count in class_counts]
        self._weights = np.array(task_weights or [1.0] * len(class_counts))
        self._loss_sum = 0.0
        self._images = 0

    def add(self, predictions: np.ndarray, labels: np.ndarray, loss: float) -> None:
        """Adds a batch.

        Args:
            predictions: int64 of shape (batch, tasks), the predicted classes.
            labels: int64 of shape (batch, tasks).
            loss: mean over the batch.
        """
        for task, confusion in enumerate(self._confusion):
            np.add.at(confusion, (labels[:, task], predictions[:, task]), 1)
        self._loss_sum += loss * len(labels)
        self._images += len(labels)

    def summary(self) -> dict[str, float]:
        """Returns loss (mean over images), acc (mean over tasks) and score (weighted mean of macro recalls)."""
        accuracies = [np.trace(confusion) / confusion.sum() for confusion in self._confusion]
        recalls = [macro_recall(confusion) for confusion in self._confusion]
        return {
            "loss": self._loss_sum / self._images,
            "acc": float(np.mean(accuracies)),
            "score": float(np.average(recalls, weights=self._weights)),
        }


def macro_recall(confusion: np.ndarray) -> float:
    """Returns the mean over classes of the share of a class's images that were found; absent classes do not count.

    Args:
        confusion: of shape (classes, classes), images by label and prediction.
    """
    images = confusion.sum(axis=1)
    present = images > 0
    return float(np.mean(np.diag(confusion)[present] / images[present]))
