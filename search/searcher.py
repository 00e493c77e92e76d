"""The bridge from Ray Tune to Optuna: asks Optuna for samples and tells it the truth about trials.

Ray's own OptunaSearch tells a trial that was stopped early as complete, with its last, low-budget value, and never
reports that value as an intermediate one; a trial whose metric is nan stays running for ever. Here every epoch is
reported, a trial stopped early is told as PRUNED, and one without a usable result as FAIL.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from search.history import DONE, FAILED, FINISHED, INTERRUPTED, RUNNING, STOPPED, History, TrialRecord
from search.options import SearchOptions
from search.rungs import Rungs
from search.sampler import build_sampler
from search.space import Parameter

# What a trial reports beside its metrics; the trial's own word on where it stands.
TOTAL_EPOCHS = "total_epochs"
FAILURE = "failure"


def has_finished(result: dict[str, Any]) -> bool:
    """Whether a trial's last result is that of its last epoch."""
    return TOTAL_EPOCHS in result and result["epoch"] >= result[TOTAL_EPOCHS]


@dataclass
class _OpenTrial:
    """A trial that runs.

    Attributes:
        config: what was suggested.
        optuna_trial: its counterpart in the study.
        values: of the metric, by epoch.
    """

    config: dict[str, Any]
    optuna_trial: optuna.Trial
    values: dict[int, float]


class TruthfulOptunaSearch(OptunaSearch):
    """Samples configs with Optuna.

    The study lives in memory and is made anew from the history when a search is resumed; nothing is pickled. Each
    sample has a seed of its own, made from the search's seed and the trial's number, so that a resumed search goes on
    as it would have.

    Args:
        parameters: what is sampled, by key.
        options: metric, seed, sampler and num_samples: how many different trials are made.
        history: finished trials in it are told to Optuna, unfinished ones are suggested again first.
        slots: how many trials there is room for. Not more are made, so that each sample is made with all results that
            are there when it can start.
        rungs: says which of the stopped trials is to go on; it is suggested before anything new.
    """

    def __init__(
        self,
        parameters: dict[str, Parameter],
        options: SearchOptions,
        history: History,
        slots: int,
        rungs: Rungs | None = None,
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        distributions = {key: parameter.distribution.to_optuna() for key, parameter in parameters.items()}
        super().__init__(
            space=distributions,
            metric=options.metric,
            mode=options.mode,
            sampler=build_sampler(options.sampler, options.seed),
        )
        self._parameters = parameters
        self._options = options
        self._slots = slots
        self._rungs = rungs
        self._distributions = distributions
        self._open: dict[str, _OpenTrial] = {}  # by Ray's id
        self._ended: dict[int, tuple[dict[str, Any], FrozenTrial]] = {}  # config and counterpart, by number
        self._next_number = max(history.trials, default=-1) + 1
        for record in history.in_state(*FINISHED):
            config = _trial_config(record.number, record.id, record.params, heard=len(record.rows))
            self._ended[record.number] = config, self._frozen(record)
        self._unfinished = history.in_state(RUNNING, INTERRUPTED)
        self._make_study()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns a trial for Ray: number, id, params, and how many epochs are known.

        None while there is no room, or a trial may still have to go on; FINISHED when nothing is left to do.
        """
        if len(self._open) >= self._slots:
            return None
        if self._unfinished:
            record = self._unfinished.pop(0)
            config = _trial_config(record.number, record.id, record.params, heard=len(record.rows))
            self._begin(trial_id, config, {row["epoch"]: row[self._options.metric] for row in record.rows})
            return config
        number = self._next_number
        is_full = number >= self._options.num_samples
        promoted = self._rungs.next(is_full) if self._rungs else None
        if self._rungs and promoted is not None:
            self._rungs.leave(promoted)
            config, known = self._ended.pop(promoted)
            self._make_study()  # without what the trial was when it had to wait
            self._begin(trial_id, config, known.intermediate_values)
            return config
        if is_full:
            return None if self._open else Searcher.FINISHED
        self._next_number += 1
        seed = int(np.random.SeedSequence([self._options.seed, number]).generate_state(1)[0])
        self.study.sampler = build_sampler(self._options.sampler, seed)
        trial = self.study.ask(fixed_distributions=self._distributions)
        params = {key: p.distribution.decode(trial.params[key]) for key, p in self._parameters.items()}
        config = _trial_config(number, sample_id(params), params, heard=0)
        self._open[trial_id] = _OpenTrial(config, trial, {})
        return config

    def has_more(self) -> bool:
        """Whether there is anything left to run."""
        if self._unfinished or self._next_number < self._options.num_samples:
            return True
        return self._rungs is not None and self._rungs.next(is_full=True) is not None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Reports an epoch to Optuna. Ray does not call this for a trial's last result."""
        value = result.get(self._options.metric)
        if value is not None:
            self._report(self._open[trial_id], result["epoch"], value)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells Optuna how a trial ended."""
        is_usable = result and not error and FAILURE not in result and self._options.metric in result
        last = result if is_usable else None
        if last:
            self.on_trial_result(trial_id, last)
        ended = self._open.pop(trial_id)
        number = ended.config["number"]
        if not last:
            frozen = self.study.tell(ended.optuna_trial, state=TrialState.FAIL)
            if self._rungs:
                self._rungs.leave(number)
        elif has_finished(last):
            best = max if self._options.mode == "max" else min
            frozen = self.study.tell(ended.optuna_trial, best(ended.values.values()))
        else:
            frozen = self.study.tell(ended.optuna_trial, state=TrialState.PRUNED)
        heard = last["epoch"] if last else ended.config["heard"]
        self._ended[number] = {**ended.config, "heard": heard}, frozen

    def _make_study(self) -> None:
        self.study = optuna.create_study(
            direction="maximize" if self._options.mode == "max" else "minimize",
            sampler=build_sampler(self._options.sampler, self._options.seed),
        )
        self._ot_study = self.study  # of OptunaSearch
        self.study.add_trials([frozen for _, frozen in self._ended.values()])
        for trial_id, known in list(self._open.items()):
            self._begin(trial_id, known.config, known.values)

    def _begin(self, trial_id: str, config: dict[str, Any], values: dict[int, float]) -> None:
        """Adds a trial that runs to the study, with what it has reported so far."""
        self.study.enqueue_trial(self._encoded(config["params"]))
        trial = self.study.ask(fixed_distributions=self._distributions)
        self._open[trial_id] = _OpenTrial(config, trial, {})
        for epoch, value in values.items():
            self._report(self._open[trial_id], epoch, value)

    def _report(self, known: _OpenTrial, epoch: int, value: float) -> None:
        if math.isfinite(value) and epoch not in known.values:
            known.values[epoch] = value
            known.optuna_trial.report(value, epoch)

    def _encoded(self, params: dict[str, Any]) -> dict[str, Any]:
        return {key: self._parameters[key].distribution.encode(value) for key, value in params.items()}

    def _frozen(self, record: TrialRecord) -> FrozenTrial:
        states = {DONE: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}
        best = record.best(self._options.metric)
        return optuna.trial.create_trial(
            state=states[record.state],
            value=best[self._options.metric] if best and record.state == DONE else None,
            params=self._encoded(record.params),
            distributions=self._distributions,
            intermediate_values={row["epoch"]: row[self._options.metric] for row in record.rows},
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
