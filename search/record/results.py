"""Results of a search as files: a table with a row a trial, the best trial's config, and what several trials say."""

import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.files import remove_leftovers, shown_path, write_atomically
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.record.confirmation import Confirmed, confirmed
from search.record.events import Event, SearchEnded, TrialEnded
from search.record.history import History, TrialRecord
from search.record.pareto import draw_front, objective_values, pareto_front
from search.record.table import to_frame, trial_table
from search.record.verdict import verdict
from trainable.recorded_curve import curve_comment

if TYPE_CHECKING:
    pass

REWRITE_AFTER = 5.0  # seconds: the whole table is written anew, so not for every trial


class Results:
    """Keeps results.csv, results.parquet, best.yaml and what belongs to them up to date."""

    def __init__(self, plan: SearchPlan, history: History, folder: SearchFolder):
        self._plan = plan
        self._history = history
        self._folder = folder
        self._written = 0.0

    def update(self, event: Event) -> bool:
        """Writes the files when a trial or the search has ended, and returns whether it did.

        Raises:
            OSError: they could not be written.
        """
        is_due = time.monotonic() - self._written >= REWRITE_AFTER
        if not (isinstance(event, SearchEnded) or (isinstance(event, TrialEnded) and is_due)):
            return False
        self.write()
        self._written = time.monotonic()
        if isinstance(event, SearchEnded) and self._plan.options.others:
            self._write_front()
        return True

    def write(self) -> None:
        """Writes the table and best.yaml; confirm.csv where trials were repeated."""
        _write_table(trial_table(self._plan, self._history), self._folder.results_csv, self._folder.results_parquet)
        repeated = confirmed(self._history, self._plan.options.metric, self._plan.options.confirms_by_cost)
        if repeated:
            _write_table(_confirmed_table(repeated), self._folder.confirmation)
        best = repeated[0].record if repeated else self._history.best_trial(self._plan.options.metric)
        if best is not None:
            header = [self._described(best)]
            if found := verdict(self._history, self._plan.options.metric, repeated):
                header.append(f"# {found.text}.")
            if repeated:
                options = self._plan.options
                header.append(f"# {describe_winner(repeated, options.metric, options.confirms_by_cost)}")
            self._write_config(self._folder.best, best, header)

    def _write_front(self) -> None:
        """Writes the Pareto front: a table, a YAML a point, a picture."""
        objectives, records = self._plan.options.objectives, self._history.candidates()
        front = pareto_front(records, objectives)
        table: dict[str, list[Any]] = {"trial": [record.number for record in front]}
        for position, name in enumerate(objectives):
            table[name] = [objective_values(record, objectives)[position] for record in front]
        table["config"] = [f"pareto/{record.name}.yaml" for record in front]
        self._folder.pareto.mkdir(exist_ok=True)
        remove_leftovers(self._folder.pareto)
        for record in front:
            values = ", ".join(
                f"{name} {value!r}"
                for name, value in zip(objectives, objective_values(record, objectives), strict=True)
            )
            path = self._folder.pareto / f"{record.name}.yaml"
            self._write_config(path, record, [f"# On the Pareto front of this search: {record.name}, {values}."])
        _write_table(table, self._folder.pareto_csv)  # when all that it names are there
        for old in self._folder.pareto.glob("*.yaml"):
            if old.stem not in {record.name for record in front}:  # beaten since
                old.unlink()
        with suppress(ImportError):  # of matplotlib; the terminal says so
            draw_front(self._folder.pareto_picture, records, front, objectives)

    def _described(self, record: TrialRecord) -> str:
        metric = self._plan.options.metric
        row = record.best(metric) or {}
        trained = f"{len(record.rows)} of {self._plan.total_epochs(record.settings)} epochs trained"
        value = f"{metric} {row[metric]!r} in epoch {row['epoch']}"
        which = "The base config" if record.is_reference else "The best trial"
        return f"# {which} of this search: {record.name}, {value} ({trained})."

    def _write_config(self, path: Path, record: TrialRecord, header: Sequence[str]) -> None:
        """Writes a trial's whole config, which trains it again."""
        config = self._folder.trial(record.name).config.read_text()
        output = self._folder.for_retraining(path.stem)
        lines = [*header, "# Retrain it with:", f"#   {retrain_command(path, output)}"]
        lines.append(curve_comment(record.rows))  # which --verify compares a training with
        write_atomically(path, "\n".join(lines) + "\n" + config)


def _write_table(table: dict[str, list[Any]], csv: Path, parquet: Path | None = None) -> None:
    frame = to_frame(table)
    write_atomically(csv, frame.to_csv(index=False))
    if parquet is not None:
        write_atomically(parquet, frame.to_parquet(index=False))


def _confirmed_table(repeated: Sequence[Confirmed]) -> dict[str, list[Any]]:
    return {
        "trial": [one.record.number for one in repeated],
        "repeats": [len(one.values) for one in repeated],
        "mean": [one.mean for one in repeated],
        "interval": [one.interval for one in repeated],
        "macs": [one.macs for one in repeated],
        "params": [one.params for one in repeated],
        "tied_with_winner": [one.is_tied_with(repeated[0]) for one in repeated],
    }


def describe_winner(repeated: Sequence[Confirmed], metric: str, by_cost: bool = True) -> str:
    """Returns what the repeats say, in a sentence; `by_cost` as of `confirmed`."""
    winner = repeated[0]
    tied = [one for one in repeated[1:] if one.is_tied_with(winner)]
    dearer = [one for one in tied if by_cost and (one.macs, one.params) > (winner.macs, winner.params)]
    among = ""
    if dearer:
        among = f"; tied with {', '.join(one.record.title for one in dearer)}, and cheaper"
    elif tied:
        among = f"; within noise of {', '.join(one.record.title for one in tied)}, but has the best mean"
    return (
        f"confirmed: {winner.record.title}, {metric} {winner.mean:.4f} +- {winner.interval:.4f} (95 %) over "
        f"{len(winner.values)} other seeds{among}"
    )


def retrain_command(config: Path, output: Path) -> str:
    """Returns the command that trains a config again, for a terminal in this working folder."""
    return f"python -m trainable.train -o {shlex.quote(shown_path(output))} --cfg {shlex.quote(shown_path(config))}"
