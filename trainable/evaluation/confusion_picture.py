"""A picture of which classes are taken for which."""

from pathlib import Path

import numpy as np

from configs.figures import drawable, new_figure, save_figure
from trainable.evaluation.metrics import ClassificationMetrics, macro_recall

NAMED_CLASSES = 40  # with more, names would run into one another


def draw_confusion(path: Path, metrics: ClassificationMetrics, classes: dict[str, tuple[str, ...]]) -> None:
    """Writes a PNG with a square for each task: a row a class, its images by prediction as shares.

    Args:
        path: of the picture.
        metrics: of an evaluation.
        classes: for each task, by name, the names of its classes.

    Raises:
        ImportError: matplotlib is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with drawable([name for task, names in classes.items() for name in (task, *names)]) as shown:
        figure = new_figure(6 * len(classes), 6)
        places = figure.subplots(1, len(classes), squeeze=False)[0]
        for axes, (task, names) in zip(places, classes.items(), strict=True):
            confusion = metrics.confusion[task]
            shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
            image = axes.imshow(shares, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            title = f"{shown(task)}: macro recall {macro_recall(confusion):.4f}"
            axes.set(title=title, xlabel="predicted", ylabel="label")
            if len(names) <= NAMED_CLASSES:
                axes.set_xticks(range(len(names)), [shown(name) for name in names], rotation=90)
                axes.set_yticks(range(len(names)), [shown(name) for name in names])
        figure.colorbar(image, ax=figure.axes, shrink=0.7, label="share of the label's images")
        save_figure(figure, path)
