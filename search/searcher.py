"""The bridge from Ray Tune to Optuna: asks Optuna for samples and tells it the truth about trials.

Ray's own OptunaSearch tells a trial that was stopped early as complete, with its last, low-budget value, and never
reports that value as an intermediate one; a trial whose metric is nan stays running for ever. Here every epoch is
reported, a trial stopped early is told as PRUNED, and one without a usable result as FAIL.
"""

import hashlib
import json
import math
from typing import Any

import numpy as np
import optuna
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from search.history import DONE, FAILED, FINISHED, INTERRUPTED, RUNNING, STOPPED, History, TrialRecord
from search.options import SearchOptions
from search.sampler import build_sampler
from search.space import Parameter

# What a trial reports beside its metrics; the trial's own word on where it stands.
TOTAL_EPOCHS = "total_epochs"
FAILURE = "failure"


def has_finished(result: dict[str, Any]) -> bool:
    """Whether a trial's last result is that of its last epoch."""
    return TOTAL_EPOCHS in result and result["epoch"] >= result[TOTAL_EPOCHS]


class TruthfulOptunaSearch(OptunaSearch):
    """Samples configs with Optuna.

    The study lives in memory and is made anew from the history when a search is resumed; nothing is pickled. Each
    sample has a seed of its own, made from the search's seed and the trial's number, so that a resumed search goes on
    as it would have.

    Args:
        parameters: what is sampled, by key.
        options: metric, seed and sampler.
        history: finished trials in it are told to Optuna, unfinished ones are suggested again first.
        slots: how many trials there is room for. Not more are made, so that each sample is made with all results that
            are there when it can start.
    """

    def __init__(self, parameters: dict[str, Parameter], options: SearchOptions, history: History, slots: int):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        distributions = {key: parameter.distribution.to_optuna() for key, parameter in parameters.items()}
        super().__init__(
            space=distributions,
            metric=options.metric,
            mode=options.mode,
            sampler=build_sampler(options.sampler, options.seed),
        )
        self.study: optuna.Study = self._ot_study
        self._parameters = parameters
        self._options = options
        self._slots = slots
        self._distributions = distributions
        self._open: dict[str, optuna.Trial] = {}  # by Ray's id
        self._values: dict[str, dict[int, float]] = {}  # of open trials, by epoch
        self._next_number = max(history.trials, default=-1) + 1
        for record in history.in_state(*FINISHED):
            self._add_finished(record)
        self._unfinished = history.in_state(RUNNING, INTERRUPTED)

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Returns a trial for Ray (number, id, sample, how many epochs are known), or None while there is no room."""
        if len(self._open) >= self._slots:
            return None
        if self._unfinished:
            record = self._unfinished.pop(0)
            self.study.enqueue_trial(self._encoded(record.params))
            self._begin(trial_id)
            for row in record.rows:
                self._report(trial_id, row)
            return _trial_config(record.number, record.id, record.params, heard=len(record.rows))
        number = self._next_number
        self._next_number += 1
        seed = int(np.random.SeedSequence([self._options.seed, number]).generate_state(1)[0])
        self.study.sampler = build_sampler(self._options.sampler, seed)
        trial = self._begin(trial_id)
        params = {key: p.distribution.decode(trial.params[key]) for key, p in self._parameters.items()}
        return _trial_config(number, sample_id(params), params, heard=0)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Reports an epoch to Optuna. Ray does not call this for a trial's last result."""
        self._report(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells Optuna how a trial ended."""
        is_usable = result and not error and FAILURE not in result and self._options.metric in result
        last = result if is_usable else None
        if last:
            self._report(trial_id, last)
        trial, values = self._open.pop(trial_id), self._values.pop(trial_id).values()
        if not last:
            self.study.tell(trial, state=TrialState.FAIL)
        elif has_finished(last):
            self.study.tell(trial, max(values) if self._options.mode == "max" else min(values))
        else:
            self.study.tell(trial, state=TrialState.PRUNED)

    def _begin(self, trial_id: str) -> optuna.Trial:
        self._open[trial_id] = self.study.ask(fixed_distributions=self._distributions)
        self._values[trial_id] = {}
        return self._open[trial_id]

    def _report(self, trial_id: str, result: dict[str, Any]) -> None:
        value = result.get(self._options.metric)
        if value is not None and math.isfinite(value) and result["epoch"] not in self._values[trial_id]:
            self._values[trial_id][result["epoch"]] = value
            self._open[trial_id].report(value, result["epoch"])

    def _encoded(self, params: dict[str, Any]) -> dict[str, Any]:
        return {key: self._parameters[key].distribution.encode(value) for key, value in params.items()}

    def _add_finished(self, record: TrialRecord) -> None:
        values = {row["epoch"]: row[self._options.metric] for row in record.rows}
        states = {DONE: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}
        best = record.best(self._options.metric)
        self.study.add_trial(
            optuna.trial.create_trial(
                state=states[record.state],
                value=best[self._options.metric] if best and record.state == DONE else None,
                params=self._encoded(record.params),
                distributions=self._distributions,
                intermediate_values=values,
            )
        )

    def save(self, checkpoint_path: str) -> None:
        """Ray asks for a file. It stays empty: the state is in events.jsonl."""
        open(checkpoint_path, "w").close()

    def restore(self, checkpoint_path: str) -> None:
        """Never used: a resumed search makes its searcher anew from its history."""
        raise NotImplementedError("a search is resumed from its events.jsonl")


def sample_id(params: dict[str, Any]) -> str:
    """Returns six hexadecimal digits that stand for a sample."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:6]


def _trial_config(number: int, id: str, params: dict[str, Any], heard: int) -> dict[str, Any]:
    return {"number": number, "id": id, "params": params, "heard": heard}
