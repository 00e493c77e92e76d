"""Metrics against scikit-learn's."""

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, classification_report, recall_score
from torch import nn

from trainable.evaluation.class_table import write_class_table
from trainable.evaluation.confusion_picture import draw_confusion
from trainable.evaluation.cost import model_cost
from trainable.evaluation.metrics import ClassificationMetrics


def test_against_scikit_learn_over_batches_and_tasks():
    rng = np.random.default_rng(0)
    labels = np.stack([rng.integers(0, 7, 200), rng.integers(0, 3, 200)], axis=1)
    predictions = np.where(
        rng.random((200, 2)) < 0.6, labels, np.stack([rng.integers(0, 7, 200), rng.integers(0, 3, 200)], 1)
    )
    metrics = ClassificationMetrics({"root": tuple("abcdefg"), "mark": tuple("xyz")}, task_weights=(2, 1))
    metrics.add(predictions[:150], labels[:150], loss=1.0)
    metrics.add(predictions[150:], labels[150:], loss=2.0)
    recalls = [recall_score(labels[:, t], predictions[:, t], average="macro") for t in (0, 1)]
    accuracies = [accuracy_score(labels[:, t], predictions[:, t]) for t in (0, 1)]
    assert metrics.summary() == pytest.approx(
        {"loss": 1.25, "acc": np.mean(accuracies), "score": (2 * recalls[0] + recalls[1]) / 3}
    )


def test_absent_classes_do_not_count():
    metrics = ClassificationMetrics({"digit": tuple("01234")})
    metrics.add(np.array([[0], [1], [0]]), np.array([[0], [1], [1]]), loss=0.0)
    assert metrics.summary()["score"] == pytest.approx((1 + 0.5) / 2)


def test_the_score_of_the_competition():
    rng = np.random.default_rng(1)
    counts = {"grapheme_root": 168, "vowel_diacritic": 11, "consonant_diacritic": 7}
    labels = np.stack([rng.integers(0, count, 2000) for count in counts.values()], axis=1)
    predictions = np.where(rng.random((2000, 3)) < 0.8, labels, 0)
    classes = {task: tuple(map(str, range(count))) for task, count in counts.items()}
    metrics = ClassificationMetrics(classes, task_weights=(2, 1, 1))
    metrics.add(predictions, labels, loss=0.0)
    root, vowel, consonant = (recall_score(labels[:, t], predictions[:, t], average="macro") for t in range(3))
    assert metrics.summary()["score"] == pytest.approx((2 * root + vowel + consonant) / 4)
    assert [task["recall"] for task in metrics.tasks()] == pytest.approx([root, vowel, consonant])
    accuracy = accuracy_score(labels[:, 1], predictions[:, 1])
    assert metrics.tasks()[1] == {"task": "vowel_diacritic", "acc": pytest.approx(accuracy), "recall": vowel}


def test_the_table_of_classes_names_the_most_frequent_confusion(tmp_path):
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    predictions = np.array([0, 1, 1, 2, 1, 1, 1])
    metrics = ClassificationMetrics({"animal": ("cat", "dog", "eel", "fox")})
    metrics.add(predictions[:, None], labels[:, None], loss=0.0)
    write_class_table(tmp_path / "classes" / "epoch_0001.parquet", metrics.class_table())
    table = pd.read_parquet(tmp_path / "classes" / "epoch_0001.parquet").set_index("class")
    assert table["images"].tolist() == [4, 2, 1, 0]
    assert table["confused_with"].fillna("").tolist() == ["dog", "", "dog", ""]
    assert table["confused_images"].tolist() == [2, 0, 1, 0]
    report = classification_report(
        labels, predictions, labels=range(4), target_names=table.index, output_dict=True, zero_division=np.nan
    )
    for name in table.index:
        for column in ("recall", "precision"):
            assert table.loc[name, column] == pytest.approx(report[name][column], nan_ok=True), (name, column)


def test_the_picture_of_confusions(tmp_path):
    classes = {"digit": tuple("0123456789"), "root": tuple(map(str, range(60)))}
    metrics = ClassificationMetrics(classes)
    metrics.add(np.arange(20).reshape(10, 2) % 10, np.arange(20).reshape(10, 2) % 10, loss=0.0)
    draw_confusion(tmp_path / "results" / "confusion.png", metrics, classes)
    picture = cv2.imread(str(tmp_path / "results" / "confusion.png"))
    assert picture.shape == (600, 1200, 3)


def test_what_a_model_costs():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 25, 7)
    )
    cost = model_cost(model, torch.zeros(1, 3, 5, 5))
    assert cost["params"] == 4 * 3 * 9 + 2 * 4 + 100 * 7 + 7
    assert cost["macs"] == 25 * 4 * 3 * 9 + 100 * 7, "convolution and linear layer"
