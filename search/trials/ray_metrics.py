"""The key figures of a search, for Prometheus and the charts that are made of it: docs/watching.md."""

import math
import time
from collections import Counter

from ray.util.metrics import Gauge

from search.analysis import FoundSearch
from search.record.outcomes import State
from search.record.recorder import Observer

INTERVAL = 5.0  # seconds: Ray forgets a figure that is not set again in about twenty


class RayMetrics(Observer):
    """Keeps the figures up to date on Ray's metrics port: ray_yacstune_* in what Prometheus reads.

    Args:
        found: the search.
    """

    def __init__(self, found: FoundSearch):
        self._metric = found.plan.options.metric
        self._history = found.history
        self._search = {"search": found.plan.name, "metric": self._metric}
        self._set = 0.0
        self._shown: set[str] = set()  # numbers of the trials that have figures
        of_search, of_trial = tuple(self._search), (*self._search, "trial")
        self._best = Gauge("yacstune_best", "the best value so far", of_search)
        self._reference = Gauge("yacstune_reference", "the best value of the base config", of_search)
        self._trials = Gauge("yacstune_trials", "trials by their state", ("search", "state"))
        self._epoch = Gauge("yacstune_trial_epoch", "epochs that a running trial has trained", of_trial)
        self._value = Gauge("yacstune_trial_value", "the last value of a running trial", of_trial)

    def on_tick(self) -> None:
        if time.monotonic() - self._set < INTERVAL:
            return
        self._set = time.monotonic()
        count = Counter(record.state for record in self._history.trials.values())
        for state in State:
            self._trials.set(count[state], {"search": self._search["search"], "state": state.value})
        best, base = self._history.best_trial(self._metric), self._history.reference()
        for gauge, record in ((self._best, best), (self._reference, base)):
            row = record.best(self._metric) if record else None
            if row:
                gauge.set(float(row[self._metric]), self._search)
        running = {str(record.number): record for record in self._history.running()}
        for number, record in running.items():
            tags = self._search | {"trial": number}
            self._epoch.set(len(record.rows), tags)
            if record.rows:
                self._value.set(float(record.rows[-1][self._metric]), tags)
        for number in self._shown - running.keys():  # Ray drops what is not a number at its next export
            for gauge in (self._epoch, self._value):
                gauge.set(math.nan, self._search | {"trial": number})
        self._shown = set(running)
