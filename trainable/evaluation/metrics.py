"""Accuracy, macro recall and the score of predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class ClassificationMetrics:
    """Collects predictions batch by batch.

    Args:
        classes: for each task, by name, the names of its classes.
        task_weights: weight of each task in the score; equal if empty.

    Attributes:
        confusion: for each task, by name, int64 of shape (classes, classes): images by label and prediction.
    """

    def __init__(self, classes: dict[str, tuple[str, ...]], task_weights: Sequence[float] = ()):
        self._classes = classes
        self.confusion = {task: np.zeros((len(names), len(names)), dtype=np.int64) for task, names in classes.items()}
        self._weights = np.array(task_weights or [1.0] * len(classes))
        self._loss_sum = 0.0
        self._images = 0

    def add(self, predictions: np.ndarray, labels: np.ndarray, loss: float) -> None:
        """Adds a batch.

        Args:
            predictions: int64 of shape (batch, tasks), the predicted classes.
            labels: int64 of shape (batch, tasks).
            loss: mean over the batch.
        """
        for task, confusion in enumerate(self.confusion.values()):
            np.add.at(confusion, (labels[:, task], predictions[:, task]), 1)
        self._loss_sum += loss * len(labels)
        self._images += len(labels)

    def summary(self) -> dict[str, float]:
        """Returns loss (mean over images), acc (mean over tasks) and score (weighted mean of macro recalls).

        With the weights 2, 1, 1 of the Bengali graphemes the score is that of the competition. All are nan if there
        are no images.
        """
        if not self._images:
            return dict.fromkeys(("loss", "acc", "score"), float("nan"))
        tasks = self.tasks()
        return {
            "loss": self._loss_sum / self._images,
            "acc": float(np.mean([task["acc"] for task in tasks])),
            "score": float(np.average([task["recall"] for task in tasks], weights=self._weights)),
        }

    def tasks(self) -> list[dict[str, Any]]:
        """Returns for each task its name, acc (share of images classified correctly) and recall (macro recall)."""
        return [
            {"task": task, "acc": float(np.trace(confusion) / confusion.sum()), "recall": macro_recall(confusion)}
            for task, confusion in self.confusion.items()
        ]

    def class_table(self) -> list[dict[str, Any]]:
        """Returns a row for each class of each task.

        Its columns: task, class, images, recall (nan without images), precision (nan if never predicted), and
        confused_with, the class that its images were most often taken for by mistake (None without a mistake), with
        confused_images, how many.
        """
        rows = []
        for task, names in self._classes.items():
            confusion = self.confusion[task]
            mistakes = confusion.copy()
            np.fill_diagonal(mistakes, 0)
            for label, name in enumerate(names):
                right, images, predicted = confusion[label, label], confusion[label].sum(), confusion[:, label].sum()
                worst = int(mistakes[label].argmax())
                rows.append(
                    {
                        "task": task,
                        "class": name,
                        "images": int(images),
                        "recall": float(right / images) if images else float("nan"),
                        "precision": float(right / predicted) if predicted else float("nan"),
                        "confused_with": names[worst] if mistakes[label, worst] else None,
                        "confused_images": int(mistakes[label, worst]),
                    }
                )
        return rows


def macro_recall(confusion: np.ndarray) -> float:
    """Returns the mean over classes of the share of a class's images that were found; absent classes do not count.

    Args:
        confusion: of shape (classes, classes), images by label and prediction.
    """
    images = confusion.sum(axis=1)
    present = images > 0
    return float(np.mean(np.diag(confusion)[present] / images[present]))
