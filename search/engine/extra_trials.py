"""Trials beside the samples: the base config as reference, and repeats of the best with other seeds."""

import hashlib
import json
from typing import Any

import numpy as np

from configs.defaults import KEYS
from configs.tree import plain
from search.record.events import TrialStarted
from search.record.history import History, TrialRecord, best_records
from search.space.options import SearchOptions
from search.space.space import Space
from search.space.start import base_values

SEED = "SEED"


def reference_start(number: int, space: Space) -> TrialStarted:
    """Returns the start of the base config's trial.

    It sets what is sampled to what the base has now: the search may be resumed with another base.
    """
    keys = {item.key for item in space.items if item.key in KEYS}
    settings = {key: plain(space.default(key)) for key in sorted(keys)}
    return TrialStarted(number, sample_id(settings), base_values(space), settings, is_reference=True)


def repeat_start(number: int, record: TrialRecord, seed: int) -> TrialStarted:
    """Returns the start of a repeat of a trial with another seed, to its last epoch."""
    params, settings = {**record.params, SEED: seed}, {**record.settings, SEED: seed}
    return TrialStarted(number, sample_id(params), params, settings, confirms=record.number)


def next_to_repeat(history: History, options: SearchOptions, space: Space) -> tuple[TrialRecord, int] | None:
    """Returns one of the best trials and the seed of its next repeat; None: there is none, or it is not yet known.

    Args:
        history: of the search so far.
        options: how many of the best are repeated, and how often.
        space: which has the seed of trials that do not set it.
    """
    repeats = options.repeats
    if repeats is None or any(record.confirms is None for record in history.running()):  # it may be one of the best
        return None
    ranked = best_records([record for record in history.by_end() if record.confirms is None], options.metric)
    top = [record for record in ranked if record.is_sample][: repeats.top]
    reference = [record for record in ranked if record.is_reference]
    if repeats.is_auto and not reference:  # it has failed: there is nothing to compare with
        return None
    made = {(r.confirms, r.params[SEED]) for r in history.trials.values() if r.confirms is not None}
    for record in [*top, *reference]:
        own_seed = record.settings.get(SEED, space.default(SEED))
        for seed in other_seeds(own_seed, repeats.seeds):
            if (record.number, seed) not in made:
                return record, seed
    return None


def other_seeds(own: int, number: int) -> list[int]:
    """Returns seeds for repeats of a trial: as many as wanted, none of them its own."""
    drawn = np.random.SeedSequence(own).generate_state(2 * number + 1) % 2**31
    return list(dict.fromkeys(int(seed) for seed in drawn if int(seed) != own))[:number]


def sample_id(params: dict[str, Any]) -> str:
    """Returns six hexadecimal digits that stand for a sample."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:6]
