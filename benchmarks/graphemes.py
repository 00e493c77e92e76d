"""From nothing to a submission on synthetic graphemes: make_synthetic, make_dataset, train, predict.

python benchmarks/graphemes.py

Works in a folder of its own, which is removed. Prints what each step took, how well the nearest class mean does on the
same images, and the competition's score; ends with status 1 if that is below 0.90 or the submission is not complete.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from configs.loader import load_cfg
from data.bengali import TASK_WEIGHTS
from data.build import build_dataset
from trainable.evaluation.metrics import ClassificationMetrics
from yacstune import PROJECT_ROOT

CONFIG = PROJECT_ROOT / "configs" / "experiments" / "bengali_synthetic.yaml"
TARGET = 0.90


def nearest_class_mean_score(dataset_cfg) -> float:
    """Returns the competition's score of classifying by the nearest mean image of a class."""
    data = build_dataset(dataset_cfg)
    pixels = data.images.reshape(len(data.images), -1).astype(np.float32)
    train, val = data.train_indices, data.val_indices
    predictions = []
    for task, count in enumerate(data.class_counts):
        means = np.stack([pixels[train[data.labels[train, task] == label]].mean(axis=0) for label in range(count)])
        distances = (means**2).sum(axis=1) - 2 * pixels[val] @ means.T
        predictions.append(distances.argmin(axis=1))
    metrics = ClassificationMetrics(data.classes, TASK_WEIGHTS)
    metrics.add(np.stack(predictions, axis=1), data.labels[val], loss=0.0)
    return metrics.summary()["score"]


def main() -> int:
    """Runs the four commands and judges their result."""
    with tempfile.TemporaryDirectory(prefix="yacstune-") as name:
        folder = Path(name)
        places = ["DATASET.PATH_DATA_RAW", f"{folder}/raw", "DATASET.PATH_DATA_PROCESSED", f"{folder}/processed"]
        steps = {
            "data.make_synthetic": ["--out", f"{folder}/raw", "--images", "4000"],
            "data.make_dataset": ["--cfg", str(CONFIG), *places],
            "trainable.train": ["-o", f"{folder}/run", "--cfg", str(CONFIG), *places],
            "trainable.predict": ["--checkpoint", f"{folder}/run/best.pt", "--data", f"{folder}/raw", "-o"],
        }
        steps["trainable.predict"].append(f"{folder}/submission.csv")
        seconds = {}
        for module, arguments in steps.items():
            print(f"$ python -m {module} {' '.join(arguments)}", flush=True)
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", module, *arguments], check=True)
            seconds[module] = time.perf_counter() - start
        score = pd.read_csv(folder / "run" / "results" / "metrics.csv")["val_score"].max()
        baseline = nearest_class_mean_score(load_cfg(CONFIG, places).DATASET)
        wanted = pd.read_csv(folder / "raw" / "sample_submission.csv")["row_id"].tolist()
        is_complete = pd.read_csv(folder / "submission.csv").dropna()["row_id"].tolist() == wanted
    for module, taken in seconds.items():
        print(f"{module:<20} {taken:6.1f} s")
    print(f"{'all':<20} {sum(seconds.values()):6.1f} s")
    print(f"score of the nearest class mean {baseline:.4f}, of the training {score:.4f} (target {TARGET})")
    print(f"submission complete: {is_complete}")
    return 0 if score >= TARGET and is_complete else 1


if __name__ == "__main__":
    sys.exit(main())
