"""Tells Ray Tune which trial comes next: one that was interrupted, one that may go on, a new sample, or a repeat.

Ray's own OptunaSearch tells a trial that was stopped early as complete, with its last, low-budget value, and never
reports that value as an intermediate one; a trial whose metric is nan stays running for ever. Here study.py tells
Optuna what is true.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.trial import FrozenTrial
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from configs.defaults import KEYS
from configs.metric_names import METRICS
from configs.tree import plain
from search.engine.population import Takeover
from search.engine.study import OUTSIDE, Study
from search.faults import CAN_BE_RETRIED, OWN
from search.record.history import (
    DONE,
    FAILED,
    INTERRUPTED,
    LINEAGE,
    RUNNING,
    STOPPED,
    History,
    TrialRecord,
    best_records,
)
from search.reports import FAILURE, FAULT, has_finished
from search.space.options import SearchOptions
from search.space.space import Space
from search.space.start import base_values

SEED = "SEED"


class Waiting(Protocol):
    """What a scheduler whose trials may wait tells the searcher."""

    def next(self, is_full: bool = False) -> int | None:
        """Returns the number of the trial that may go on first; `is_full`: no new trial is to come."""

    def leave(self, number: int) -> Takeover | None:
        """Takes note that a trial goes on, and returns what it takes over from another, if anything."""

    def fail(self, number: int) -> None:
        """Takes note that a trial has failed."""


class TruthfulOptunaSearch(OptunaSearch):
    """Suggests trials.

    Nothing is pickled: when a search is resumed, a new one is made from the history.

    Args:
        space: what is sampled.
        options: metric, seed, sampler, start, confirm and num_samples: how many different trials are made.
        history: of a search that is resumed; unfinished trials in it are suggested again first.
        slots: how many trials there is room for. Not more are made, so that each sample is made with all results that
            are there when it can start.
        start: values, by name of the parameter, of the first trials.
        waiting: says which of the stopped trials is to go on; it is suggested before anything new.
    """

    def __init__(
        self,
        space: Space,
        options: SearchOptions,
        history: History,
        slots: int,
        start: Sequence[Mapping[str, Any]] = (),
        waiting: Waiting | None = None,
    ):
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        super().__init__(
            space={parameter.name: parameter.distribution.to_optuna() for parameter in space.parameters},
            metric=options.metric,
            mode=options.mode,
        )
        self._space = space
        self._options = options
        self._slots = slots
        self._start = start
        self._waiting = waiting
        self._study = Study(space, options)
        self._open: dict[str, TrialRecord] = {}  # by Ray's id
        self._numbers = set(history.trials)
        self._not_samples = {record.number for record in history.trials.values() if not record.is_sample}
        for record in history.trials.values():
            settings = {key: value for key, value in record.settings.items() if key != LINEAGE}
            is_bounded = OUTSIDE not in record.notes
            point = space.fits(record.params, settings, is_bounded) if record.is_sample else None
            if point is not None:
                self._study.add(record.number, point)
            elif record.is_reference:
                self._study.add_reference(record)
        # By number, in the order in which they ended; copies, since the history goes on by its own events.
        self._ended = {record.number: record.copy() for record in history.by_end()}
        self._unfinished = [record.copy() for record in history.in_state(RUNNING, INTERRUPTED)]
        self._has_reference = history.reference() is not None or not options.reference
        self._repeats = {(r.confirms, r.params[SEED]) for r in history.trials.values() if r.confirms is not None}
        self.is_exhausted = False
        self._is_closed = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Returns a trial for Ray: see `trial_config`.

        None while there is no room, or a trial may still have to go on; FINISHED when nothing is left to do.
        """
        if len(self._open) >= self._slots:
            return None
        record = self._next_record()
        if record is None:
            return None if self._open else Searcher.FINISHED
        record.state = RUNNING
        self._open[trial_id] = record
        return trial_config(record)

    def set_slots(self, slots: int) -> None:
        """Says anew how many trials there is room for."""
        self._slots = slots

    def close(self) -> None:
        """Makes no more samples and lets none that waits go on: only repeats, and what was interrupted, are to come."""
        self._is_closed = True

    def _next_record(self) -> TrialRecord | None:
        if self._unfinished:
            return self._unfinished.pop(0)
        if self._is_closed:
            return self._repeat()
        if not self._has_reference:
            return self._reference()
        promoted = self._waiting.next(self._is_full()) if self._waiting else None
        if self._waiting and promoted is not None:
            takeover = self._waiting.leave(promoted)
            waited = self._ended.pop(promoted)
            return self._taken_over(waited, takeover) if takeover else waited
        if not self._is_full():
            record = self._new()
            if record is not None:
                return record
            self.is_exhausted = True
        return self._repeat()

    def _reference(self) -> TrialRecord:
        """Returns the base config as a trial.

        It sets what is sampled to what the base has now: the search may be resumed with another base.
        """
        self._has_reference = True
        params = base_values(self._space)
        keys = {item.key for item in self._space.items if item.key in KEYS}
        settings = {key: plain(self._space.default(key)) for key in sorted(keys)}
        # Behind the samples, whose numbers decide what is sampled.
        first = min(self._options.num_samples, self._space.size or self._options.num_samples)
        number = self._next_number(first)
        self._numbers.add(number)
        self._not_samples.add(number)
        record = TrialRecord(number, sample_id(settings), params, settings, is_reference=True)
        self._study.add_reference(record)
        return record

    def _taken_over(self, record: TrialRecord, takeover: Takeover) -> TrialRecord:
        """Returns a trial as it goes on with the weights of another: with its past, and values of its own."""
        donor = next(known for known in self._known() if known.number == takeover.donor)
        point = self._space.point_of(takeover.values)
        earlier = [one for one in donor.settings.get(LINEAGE, []) if one["epochs"][1] <= takeover.epoch]
        first = earlier[-1]["epochs"][1] + 1 if earlier else 1
        values = {key: donor.settings[key] for key in point.settings}
        segment = {"trial": donor.number, "epochs": [first, takeover.epoch], "settings": values}
        return replace(
            record,
            params=point.params,
            settings={**point.settings, LINEAGE: [*earlier, segment]},
            rows=donor.rows[: takeover.epoch],
            donor={"number": donor.number, "name": donor.name, "epoch": takeover.epoch},
        )

    def _is_full(self) -> bool:
        return self.is_exhausted or self._number_of_samples() >= self._options.num_samples

    def _number_of_samples(self) -> int:
        return len(self._numbers - self._not_samples)

    def _next_number(self, first: int = 0) -> int:
        """The first that is free, counted from `first`.

        A trial that was suggested, but had not started when the search died, left a gap.
        """
        return next(number for number in count(first) if number not in self._numbers)

    def _new(self) -> TrialRecord | None:
        number = self._next_number()
        # Which sample it is: neither reference nor repeats, whose numbers may be lower, change what is drawn.
        index = number - sum(other < number for other in self._not_samples)
        given = self._start[index] if index < len(self._start) else None
        sample = self._study.sample(index, self._known(), given)
        if sample is None:
            return None
        self._numbers.add(number)
        self._study.add(number, sample.point)
        point = sample.point
        return TrialRecord(number, sample_id(point.params), point.params, point.settings, notes=sample.notes)

    def _known(self) -> list[TrialRecord]:
        return [*self._ended.values(), *self._open.values()]

    def told(self) -> list[FrozenTrial]:
        """Returns what Optuna would be told now; see study.py."""
        return self._study.told(self._known())

    def has_more(self) -> bool:
        """Whether there is anything left to run."""
        if self._unfinished or not (self._is_closed or (self._has_reference and self._is_full())):
            return True
        if not self._is_closed and self._waiting is not None and self._waiting.next(is_full=True) is not None:
            return True
        return self._next_to_repeat() is not None

    def _repeat(self) -> TrialRecord | None:
        """Returns one of the best trials again, with another seed and to its last epoch."""
        todo = self._next_to_repeat()
        if todo is None:
            return None
        record, seed = todo
        self._repeats.add((record.number, seed))
        number = self._next_number()
        self._numbers.add(number)
        self._not_samples.add(number)
        params, settings = {**record.params, SEED: seed}, {**record.settings, SEED: seed}
        return TrialRecord(number, sample_id(params), params, settings, confirms=record.number)

    def _next_to_repeat(self) -> tuple[TrialRecord, int] | None:
        repeats = self._options.repeats
        if repeats is None:
            return None
        candidates = [record for record in self._ended.values() if record.confirms is None]
        if any(record.confirms is None for record in self._open.values()):
            return None  # it may be one of the best
        ranked = best_records(candidates, self._options.metric)
        top = [record for record in ranked if record.is_sample][: repeats.top]
        reference = [record for record in ranked if record.is_reference]
        if repeats.is_auto and not reference:  # it has failed: there is nothing to compare with
            return None
        for record in [*top, *reference]:
            own_seed = record.settings.get(SEED, self._space.default(SEED))
            for seed in other_seeds(own_seed, repeats.seeds):
                if (record.number, seed) not in self._repeats:
                    return record, seed
        return None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Takes note of an epoch. Ray does not call this for a trial's last result."""
        record = self._open[trial_id]
        if self._options.metric in result:
            record.add({name: result[name] for name in METRICS if name in result})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes note of how a trial ended."""
        is_usable = result and not error and FAILURE not in result and self._options.metric in result
        if result and is_usable:
            self.on_trial_result(trial_id, result)
        record = self._open.pop(trial_id)
        record.state = FAILED if not is_usable else DONE if has_finished(result or {}) else STOPPED
        fault = (result or {}).get(FAULT, OWN) if not error else CAN_BE_RETRIED
        if record.state == FAILED and fault == CAN_BE_RETRIED and record.failures < self._options.max_failures:
            record.failures += 1
            self._unfinished.append(record)
            return
        self._ended[record.number] = record
        if record.state == FAILED and record.is_sample and self._waiting:
            self._waiting.fail(record.number)

    def save(self, checkpoint_path: str) -> None:
        """Ray asks for a file. It stays empty: the state is in events.jsonl."""
        open(checkpoint_path, "w").close()

    def restore(self, checkpoint_path: str) -> None:
        """Never used: a resumed search makes its searcher anew from its history."""
        raise NotImplementedError("a search is resumed from its events.jsonl")


def trial_config(record: TrialRecord) -> dict[str, Any]:
    """Returns what Ray hands to the worker: the trial, and how many of its epochs are known already."""
    return {
        "number": record.number,
        "id": record.id,
        "params": record.params,
        "settings": record.settings,
        "notes": record.notes,
        "confirms": record.confirms,
        "is_reference": record.is_reference,
        "donor": record.donor,
        "heard": len(record.rows),
    }


def other_seeds(own: int, number: int) -> list[int]:
    """Returns seeds for repeats of a trial: as many as wanted, none of them its own."""
    drawn = np.random.SeedSequence(own).generate_state(2 * number + 1) % 2**31
    return list(dict.fromkeys(int(seed) for seed in drawn if int(seed) != own))[:number]


def sample_id(params: dict[str, Any]) -> str:
    """Returns six hexadecimal digits that stand for a sample."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:6]
