"""Results of a search as files: a table with a row a trial, and the best trial's config."""

import json
import shlex
import time
from typing import Any

from configs.files import shown_path, write_atomically
from search.events import SEARCH_ENDED, TRIAL_DONE, TRIAL_FAILED, TRIAL_STOPPED, Event
from search.folder import SearchFolder
from search.history import History, TrialRecord
from search.plan import SearchPlan

REWRITE_AFTER = 5.0  # seconds: the whole table is written anew, so not for every trial


class Results:
    """Keeps results.csv, results.parquet and best.yaml up to date; a listener of events, after the history."""

    def __init__(self, plan: SearchPlan, history: History, folder: SearchFolder):
        self._plan = plan
        self._history = history
        self._folder = folder
        self._written = 0.0

    def __call__(self, event: Event) -> None:
        """Writes the files when a trial or the search has ended."""
        is_due = time.monotonic() - self._written >= REWRITE_AFTER
        if event.kind == SEARCH_ENDED or (event.kind in (TRIAL_DONE, TRIAL_STOPPED, TRIAL_FAILED) and is_due):
            self.write()
            self._written = time.monotonic()

    def write(self) -> None:
        """Writes all three files."""
        import pandas as pd

        table = pd.DataFrame([self._row(record) for _, record in sorted(self._history.trials.items())])
        write_atomically(self._folder.results_csv, table.to_csv(index=False))
        write_atomically(self._folder.results_parquet, table.to_parquet(index=False))
        best = self._history.best_trial(self._plan.options.metric)
        if best is not None:
            write_atomically(self._folder.best, self._best_yaml(best))

    def _row(self, record: TrialRecord) -> dict[str, Any]:
        metric = self._plan.options.metric
        best = record.best(metric) or {}
        return {
            "trial": record.number,
            "id": record.id,
            "state": record.state,
            **{key: _cell(value) for key, value in record.params.items()},
            metric: best.get(metric),
            "best_epoch": best.get("epoch"),
            "epochs": len(record.rows),
            "seconds": round(record.seconds, 3),
            "reason": record.reason,
        }

    def _best_yaml(self, record: TrialRecord) -> str:
        metric = self._plan.options.metric
        row = record.best(metric) or {}
        trained = f"{len(record.rows)} of {self._plan.total_epochs(record.params)} epochs trained"
        config = (self._folder.trials / record.name / "results" / "config.yaml").read_text()
        return (
            f"# The best trial of this search: {record.name}, {metric} {row[metric]!r} in epoch {row['epoch']} "
            f"({trained}).\n# Retrain it with:\n#   {retrain_command(self._folder)}\n{config}"
        )


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def retrain_command(folder: SearchFolder) -> str:
    """Returns the command that trains the best trial again, for a terminal in this working folder."""
    path = shown_path(folder.path)
    return f"python -m trainable.train -o {shlex.quote(f'{path}-best')} --cfg {shlex.quote(f'{path}/best.yaml')}"
