"""What a search has left, as pandas tables: for notebooks, the report and scripts.

from search.analysis import open_search

found = open_search("experiments/head")
found.trials()      # a row a trial, as results.csv, with all metrics of its best epoch
found.curves()      # a row an epoch of a trial
found.at_epoch(3)   # what every trial had after its third epoch: values that can be compared
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from configs.metric_names import METRICS, sign
from search.folder import SearchFolder, existing_search
from search.plan import SearchPlan
from search.record.event_log import EventLog
from search.record.events import EpochReported
from search.record.history import History, TrialRecord
from search.record.rung_evidence import rung_evidence
from search.record.table import to_frame, trial_table
from search.resuming import begun_plan
from search.space.kinds import kind_of
from trainable.run_folder import RunFolder

if TYPE_CHECKING:
    import pandas as pd

ENOUGH = 20  # trials that have come as far, to say something of them all


@dataclass(frozen=True)
class FoundSearch:
    """A search, as its events tell; one that runs, as it is now.

    Attributes:
        plan: what it was begun, or resumed last, with.
        history: of its trials.
        folder: where it lies.
    """

    plan: SearchPlan = field(repr=False)
    history: History = field(repr=False)
    folder: SearchFolder

    def trials(self) -> "pd.DataFrame":
        """Returns a row a trial, by number: state, parameters, and all metrics of the epoch that is its best.

        Values of trials that were trained differently long are no fair comparison: see `at_epoch`.
        """
        return to_frame(trial_table(self.plan, self.history, [*METRICS]))

    def curves(self) -> "pd.DataFrame":
        """Returns a row an epoch of a trial, with all its metrics; of a trial without an epoch, none."""
        import pandas as pd

        records = sorted(self.history.trials.items())
        return pd.DataFrame([{"trial": number, **row} for number, record in records for row in record.rows])

    def at_epoch(self, epoch: int) -> "pd.DataFrame":
        """Returns a row for each sample that has trained so many epochs: parameters, and the metrics of that epoch."""
        import pandas as pd

        rows = [
            {"trial": one.number, **one.params_at(epoch), **one.rows[epoch - 1]}
            for one in self.history.samples()
            if len(one.rows) >= epoch
        ]
        return pd.DataFrame(rows)

    def best_by_cost(self) -> list[tuple[int, TrialRecord, float]]:
        """Returns each value of the metric that was better than all before: epochs trained until then, trial, value.

        Repeats cost, and are no better ones. The last is there once more, at what the search has cost in all.
        """
        metric, cost = self.plan.options.metric, 0
        steps: list[tuple[int, TrialRecord, float]] = []
        for event in self.history.events:
            if isinstance(event, EpochReported):
                cost += 1
                record, value = self.history.trials[event.trial], event.metrics[metric]
                is_better = not steps or sign(metric) * (value - steps[-1][2]) > 0
                if record.confirms is None and is_better:
                    steps.append((cost, record, value))
        return [*steps, (cost, *steps[-1][1:])] if steps else []

    def rung_evidence(self) -> str | None:
        """Says what the rungs were worth, where the trials tell."""
        plan = self.plan
        if not plan.options.has_rungs:
            return None

        def kind(record: TrialRecord) -> str:
            return kind_of(record.params, record.settings, plan.options.kinds or (), plan.space)

        factor = plan.options.scheduler_options["reduction_factor"]
        return rung_evidence(self.history, plan.options.metric, plan.rungs, factor, kind)

    def comparable_epoch(self) -> int:
        """Returns the last epoch that enough samples have trained; of a small search, that most have. 0: none has."""
        return comparable_epoch(self.history.samples())


def open_search(path: str | Path) -> FoundSearch:
    """Opens the folder of a search, also while it runs.

    Raises:
        ConfigError: there is no search in it, or its files cannot be read.
    """
    folder = existing_search(str(path))
    may_run = RunFolder(folder.path).is_locked()
    history = History(EventLog(folder.events).read())
    if not may_run and not RunFolder(folder.path).is_locked():  # nor has it ended or begun while it was read
        history.interrupt_all()
    return FoundSearch(begun_plan(folder), history, folder)


def comparable_epoch(records: Iterable[TrialRecord], enough: int = ENOUGH) -> int:
    """Returns the last epoch that enough of some trials have trained; where none has, that as many as possible have.

    Args:
        records: of trials.
        enough: how many are enough.
    """
    reached = Counter(epoch for record in records for epoch in range(1, len(record.rows) + 1))
    least = min(enough, max(reached.values(), default=0))
    return max((epoch for epoch, count in reached.items() if count >= least), default=0)
