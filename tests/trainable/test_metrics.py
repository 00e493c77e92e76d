"""Metrics against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from trainable.evaluation.metrics import ClassificationMetrics


def test_against_scikit_learn_over_batches_and_tasks():
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(0, 7, 200), rng.integers(0, 3, 200)], axis=1)
    predictions = np.where(
        rng.random((200, 2)) < 0.6, labels, np.stack([rng.integers(0, 7, 200), rng.integers(0, 3, 200)], 1)
    )
    metrics = ClassificationMetrics((7, 3), task_weights=(2, 1))
    metrics.add(predictions[:150], labels[:150], loss=1.0)
    metrics.add(predictions[150:], labels[150:], loss=2.0)
    recalls = [recall_score(labels[:, t], predictions[:, t], average="macro") for t in (0, 1)]
    accuracies = [accuracy_score(labels[:, t], predictions[:, t]) for t in (0, 1)]
    assert metrics.summary() == pytest.approx(
        {"loss": 1.25, "acc": np.mean(accuracies), "score": (2 * recalls[0] + recalls[1]) / 3}
    )


def test_absent_classes_do_not_count():
    metrics = ClassificationMetrics((5,))
    metrics.add(np.array([[0], [1], [0]]), np.array([[0], [1], [1]]), loss=0.0)
    assert metrics.summary()["score"] == pytest.approx((1 + 0.5) / 2)
