"""Draws the trials of a search: the metric over epochs, one line a trial.

    python docs/plot_search.py experiments/head docs/head_search.png

Needs matplotlib: pip install 'yacstune[plots]'
"""

import sys

import matplotlib.pyplot as plt

from configs.yaml_file import read_yaml
from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.history import History
from search.record.outcomes import State


def main(search: str, picture: str) -> None:
    """Reads a search's folder and writes the picture."""
    folder = SearchFolder(search)
    metric = read_yaml(folder.space)["search"]["metric"]
    history = History(EventLog(folder.events).read())
    best = history.best_trial(metric)
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for record in history.trials.values():
        epochs = [row["epoch"] for row in record.rows]
        values = [row[metric] for row in record.rows]
        colour = "tab:green" if record is best else "tab:blue" if record.state == State.DONE else "tab:gray"
        axes.plot(epochs, values, color=colour, alpha=0.5, linewidth=2 if record is best else 1)
        axes.plot(epochs[-1:], values[-1:], "o", color=colour, markersize=5)
    title = f"{len(history.trials)} trials: waiting at a rung (gray), done (blue), best (green)"
    axes.set(
        xlabel="epoch",
        ylabel=metric,
        title=title,
    )
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
