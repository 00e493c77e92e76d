"""What a search says on the terminal: a calm line for each trial that ends."""

import sys
import time
from typing import Any

from configs.files import shown_path
from search.events import (
    SEARCH_ENDED,
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_STARTED,
    TRIAL_STOPPED,
    Event,
)
from search.folder import SearchFolder
from search.history import DONE, FAILED, INTERRUPTED, STOPPED, History, TrialRecord
from search.plan import SearchPlan
from search.results import retrain_command


class Terminal:
    """Tells people how the search goes; a listener of events, after the history."""

    def __init__(self, plan: SearchPlan, history: History, folder: SearchFolder):
        self._plan = plan
        self._history = history
        self._folder = folder
        self._start = time.monotonic()
        self._best: float | None = None

    def __call__(self, event: Event) -> None:
        """Prints a line where there is something to say."""
        if event.kind in (TRIAL_DONE, TRIAL_STOPPED, TRIAL_FAILED) and event.trial is not None:
            self._say(self._ended(self._history.trials[event.trial]))
        elif event.kind == SEARCH_ENDED:
            self._summary(event)
        elif event.kind == TRIAL_STARTED and event.trial == 0:
            self._say("the first trial has started")

    def _say(self, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        print(f"[{minutes:02d}:{seconds:02d}] {text}", flush=True)

    def _ended(self, record: TrialRecord) -> str:
        metric = self._plan.options.metric
        epochs = f"{len(record.rows)}/{self._plan.total_epochs(record.params)} epochs"
        what = f"trial {record.number:>3}  {record.state:<8}{epochs:>12}"
        if record.state == FAILED:
            return f"{what}  {record.reason} (log: {shown_path(self._folder.trials / record.name / 'train.log')})"
        row = record.best(metric) or {}
        best = self._history.best_trial(metric)
        is_new = best is record and (self._best is None or row[metric] != self._best)
        self._best = row[metric] if best is record else self._best
        mark = "  best so far" if is_new else ""
        return f"{what}  {metric} {row[metric]:.4f}  {describe(record.params)}{mark}"

    def _summary(self, event: Event) -> None:
        count = {state: len(self._history.in_state(state)) for state in (DONE, STOPPED, FAILED, INTERRUPTED)}
        parts = ", ".join(f"{number} {state}" for state, number in count.items() if number) or "no trial was started"
        missing = self._plan.options.num_samples - len(self._history.trials)
        parts += f", {missing} not started" if missing > 0 else ""
        print(f"\n{event.data['reason']}: {parts}")
        metric = self._plan.options.metric
        best = self._history.best_trial(metric)
        if best is None:
            print(f"no trial gave a result; see {shown_path(self._folder.results_csv)}", file=sys.stderr)
            return
        row = best.best(metric) or {}
        print(f"best: trial {best.number}, {metric} {row[metric]:.4f} in epoch {row['epoch']}: {describe(best.params)}")
        print(f"all trials: {shown_path(self._folder.results_csv)}   their folders: {shown_path(self._folder.trials)}")
        print(f"retrain the best: {retrain_command(self._folder)}", flush=True)


def describe(params: dict[str, Any]) -> str:
    """Returns a sample in a line, keys without the path that they share with all others."""
    return ", ".join(f"{short_name(key)} {_short(value)}" for key, value in params.items())


def short_name(key: str) -> str:
    """Returns the end of a key that says enough: HEAD.NAME, DROPOUT."""
    parts = key.split(".")
    return ".".join(parts[-2:]) if parts[-1] == "NAME" else parts[-1]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
