"""What a search says on the terminal: a calm line for each trial that ends."""

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from configs.figures import NO_MATPLOTLIB
from configs.files import shown_path
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.record.confirmation import confirmed
from search.record.events import (
    TIME_IS_UP,
    Donor,
    Event,
    SearchEnded,
    SearchStarted,
    TrialEnded,
    TrialStarted,
    WorkerReady,
)
from search.record.history import History, TrialRecord
from search.record.outcomes import State
from search.record.pareto import objective_values, pareto_front
from search.record.results import describe_winner, retrain_command
from search.record.verdict import verdict

_WITH_RESULT = (State.DONE, State.WAITING, State.STOPPED)


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Goes on where nobody reads any more, as after `| head`: so does the search."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminal:
    """Tells people how the search goes: an observer."""

    def __init__(self, plan: SearchPlan, history: History, folder: SearchFolder):
        self._plan = plan
        self._history = history
        self._folder = folder
        self._start = time.monotonic()
        self._best: float | None = None
        self._has_told_unread = False
        self._has_begun = False
        self._has_started = False
        self._told_donors: dict[int, Donor] = {}  # by the number of the trial that took over

    def on_event(self, event: Event) -> None:
        """Prints a line where there is something to say."""
        self._has_begun = self._has_begun or isinstance(event, SearchStarted)
        if self._has_begun:  # what comes before only says more of what an earlier version has written
            with _readers_may_leave():
                self._tell(event)

    def on_message(self, text: str) -> None:
        """Prints it."""
        with _readers_may_leave():
            print(text)

    def _tell(self, event: Event) -> None:
        match event:
            case TrialEnded():
                record = self._history.trials[event.trial]
                if record.state == State.INTERRUPTED and not event.reason:
                    return  # it is resumed, and says so by itself
                line = self._ended(record)
                self._say(self._fitted(line) if record.state in _WITH_RESULT else line)
                self._tell_unread(record)
            case SearchEnded():
                self._summary(event)
            case TrialStarted(donor=Donor() as donor) if donor != self._told_donors.get(event.trial):
                self._told_donors[event.trial] = donor
                self._say(
                    f"trial {event.trial:>3}  continues with the weights of trial {donor.number} after epoch "
                    f"{donor.epoch}: {describe(event.params)}"
                )
            case WorkerReady() if not self._has_started:
                self._has_started = True
                self._say("the first trial has started")

    def _tell_unread(self, record: TrialRecord) -> None:
        """Names the knobs that did nothing in the first trial that has trained."""
        if self._has_told_unread or not record.is_sample or not record.rows or record.state not in _WITH_RESULT:
            return
        self._has_told_unread = True
        if record.unread:
            print(
                f"note: trial {record.number} never read {', '.join(record.unread)}: sampled for nothing there; "
                "`when:` in the space file makes a key active only where it counts"
            )

    def _tell_failed(self) -> None:
        """Says how the first trial that has failed is run alone."""
        for record in self._history.in_state(State.FAILED):
            config = self._folder.trial(record.name).config
            if config.exists():  # else it had not come so far
                alone = self._folder.for_retraining(record.name)
                print(f"run trial {record.number}, which failed, alone: {retrain_command(config, alone)}")
                return

    def _say(self, text: str) -> None:
        print(f"{self._time()}{text}", flush=True)

    def _time(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        return f"[{minutes:02d}:{seconds:02d}] "

    def _ended(self, record: TrialRecord) -> str:
        metric = self._plan.options.metric
        epochs = f"{len(record.rows)}/{self._plan.total_epochs(record.settings)} epochs"
        what = f"trial {record.number:>3}  {record.state:<8}{epochs:>12}"
        if record.confirms is not None:
            what += f"  (again {record.confirms})"
        elif record.is_reference:
            what += "  (the base config)"
        log = shown_path(self._folder.trial(record.name).log)
        if record.state == State.INTERRUPTED:
            return f"{what}  {record.reason}; tried again from its last checkpoint (log: {log})"
        if record.state == State.FAILED:
            return f"{what}  {record.reason} (log: {log})"
        row = record.best(metric) or {}
        best = self._history.best_trial(metric)
        is_new = best is record and (self._best is None or row[metric] != self._best)
        self._best = row[metric] if best is record else self._best
        mark = "  best so far" if is_new else ""
        return f"{what}  {metric} {row[metric]:.4f}{mark}  {describe(record.params_at(row['epoch']))}"

    def _fitted(self, text: str) -> str:
        """Returns a line without the last of its parameters, where the terminal is too narrow for them."""
        room = shutil.get_terminal_size().columns - len(self._time())
        return f"{text[: room - 3]}..." if sys.stdout.isatty() and len(text) > room else text

    def _summary(self, event: SearchEnded) -> None:
        has_begun = [one for one in self._history.trials.values() if one.has_begun or one.state != State.INTERRUPTED]
        count = Counter(record.state for record in has_begun)
        order = (State.DONE, State.WAITING, State.STOPPED, State.FAILED, State.INTERRUPTED)
        words = {State.WAITING: "waited"}
        parts = ", ".join(f"{count[state]} {words.get(state, state)}" for state in order if count[state])
        parts = parts or "no trial was started"
        missing = self._plan.options.num_samples - sum(record.is_sample for record in has_begun)
        parts += f", {missing} not started" if missing > 0 and not event.is_exhausted else ""
        metric = self._plan.options.metric
        repeated = confirmed(self._history, metric, self._plan.options.confirms_by_cost)
        found = verdict(self._history, metric, repeated)
        print(f"\n{found.text}" if found else "")
        if found and found.is_base:
            print(
                "to find a better one, try ranges around what the base has, more samples, and a later grace_period or "
                "scheduler: none, in case rungs held back what learns slowly"
            )
        print(f"{event.reason}: {parts}")
        self._tell_failed()
        best = self._history.best_trial(metric)
        if best is None:
            print(f"no trial gave a result; see {shown_path(self._folder.results_csv)}", file=sys.stderr)
            return
        row = best.best(metric) or {}
        label = "best of the single trainings" if repeated else "best"
        value = f"{metric} {row[metric]:.4f} in epoch {row['epoch']}"
        print(f"{label}: {best.title}, {value}: {describe(best.params_at(row['epoch']))}")
        if repeated:
            told = describe_winner(repeated, metric, self._plan.options.confirms_by_cost)
            print(f"{told}; all repeats: {shown_path(self._folder.confirmation)}")
        objectives = self._plan.options.objectives
        if len(objectives) > 1:
            front = pareto_front(self._history.candidates(), objectives)
            has_picture = self._folder.pareto_picture.exists()
            picture = " and .png" if has_picture else f" (no picture: {NO_MATPLOTLIB})"
            print(f"Pareto front: {len(front)} trials, in {shown_path(self._folder.pareto_csv)}{picture}")
            for record in front:
                values = zip(objectives, objective_values(record, objectives), strict=True)
                which = "the base " if record.is_reference else f"trial {record.number:>3}"
                print(f"  {which}  {'  '.join(f'{name} {value:.5g}' for name, value in values)}")
        print(f"all trials: {shown_path(self._folder.results_csv)}   their folders: {shown_path(self._folder.trials)}")
        output = self._folder.for_retraining("best")
        over = ""
        if found and found.is_base:
            over = ", which is the base"
        elif found and found.margin is not None:
            over = f", {abs(found.margin):.4f} {'better' if found.margin >= 0 else 'worse'} than the base"
        print(f"retrain the best{over}: {retrain_command(self._folder.best, output)}", flush=True)
        if event.reason == TIME_IS_UP:
            print(f"to continue for the same time again: {self._folder.resume_command()}", flush=True)


def describe(params: Mapping[str, Any]) -> str:
    """Returns a sample in a line, keys without the path that they share with all others."""
    names = short_names(list(params))
    return ", ".join(f"{names[key]} {_short(value)}" for key, value in params.items())


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Returns the end of each key that says enough beside the others: HEAD.NAME, DROPOUT, LOSS.EPS and ADAM.EPS."""
    beside = [f".{key}" for key in keys]

    def shortest(key: str) -> str:
        return next((end for end in _ends(key) if sum(other.endswith(f".{end}") for other in beside) == 1), key)

    return {key: shortest(key) for key in keys}


def _ends(key: str) -> Iterator[str]:
    """Gives ends of a key, the shortest first; NAME says nothing alone."""
    parts = key.split(".")
    for count in range(2 if parts[-1] == "NAME" else 1, len(parts) + 1):
        yield ".".join(parts[-count:])


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
