"""Searcher and scheduler together, as Ray drives them, one trial at a time: faults, and resumes at any moment."""

from dataclasses import replace

import pytest
from ray.tune.schedulers import TrialScheduler

from search.engine.engine import build_engine
from search.engine.stopping import SearchStopper, stop_reason
from search.faults import CAN_BE_RETRIED, OWN
from search.record.events import (
    SEARCH_STARTED,
    TRIAL_DONE,
    TRIAL_FAILED,
    TRIAL_REPORTED,
    TRIAL_STARTED,
    TRIAL_STOPPED,
    EventStream,
)
from search.record.history import DONE, FAILED, FINISHED, History
from search.space.distributions import Choice, FloatRange
from search.space.items import Parameter
from search.space.options import Confirm, NamedOptions, SearchOptions, StartPoint, StopRules
from search.space.space import Space
from search.space.start import start_values

RATE = "MODEL.SOLVER.OPTIMIZER.BASE_LR"
SPACE = Space([Parameter(RATE, "", distribution=FloatRange("loguniform", 1e-4, 1))], default=lambda key: 0)
EPOCHS = 9


class Trial:
    """What Ray's schedulers see of a trial."""

    def __init__(self, trial_id: str, config: dict):
        self.trial_id, self.config = trial_id, config


def play(
    options: SearchOptions, faults: dict | None = None, dies_after: int = 10**9, space: Space = SPACE, start=()
) -> History:
    """Runs a search; its driver dies after so many events, and another one goes on with it.

    Args:
        options: how to search.
        faults: by (trial, epoch), the kind of failure there; each happens once.
        dies_after: events.
        space: what is sampled.
        start: values of the first trials.
    """
    left = dict(faults or {})
    events: list = []
    history = History()
    while True:
        stream = EventStream([events.append, history])
        engine = build_engine(space, options, EPOCHS, 1, History(events), list(events), start)
        stopper = SearchStopper(options, history, engine.searcher.close)
        stream.emit(SEARCH_STARTED)
        for number in range(10**4):
            config = engine.searcher.suggest(str(number))
            if not isinstance(config, dict):
                return history
            trial = Trial(str(number), config)
            engine.scheduler.on_trial_add(None, trial)
            started = {name: value for name, value in config.items() if name not in ("number", "heard")}
            stream.emit(TRIAL_STARTED, config["number"], **started)
            _train(trial, engine, stream, history, options, left)
            if len(events) >= dies_after:
                dies_after = 10**9
                break
            if stopper.stop_all():
                return history


def _train(trial: Trial, engine, stream: EventStream, history: History, options: SearchOptions, left: dict) -> None:
    config = trial.config
    number = config["number"]
    for epoch in range(config["heard"] + 1, EPOCHS + 1):
        fault = left.pop((number, epoch), None)
        if fault:
            tried = fault == CAN_BE_RETRIED and history.trials[number].failures < options.max_failures
            result = {"failure": "it failed", "fault": fault}
            engine.scheduler.on_trial_result(None, trial, result)
            engine.scheduler.on_trial_complete(None, trial, result)
            engine.searcher.on_trial_complete(trial.trial_id, result)
            stream.emit(TRIAL_FAILED, number, reason="it failed", is_tried_again=tried)
            return
        score = config["params"][RATE] * epoch + number / 1000
        result = {"epoch": epoch, "val_score": score, "total_epochs": EPOCHS, "macs": 1, "params": 1}
        decision = engine.scheduler.on_trial_result(None, trial, result)
        stream.emit(TRIAL_REPORTED, number, metrics={k: v for k, v in result.items() if k != "total_epochs"})
        if decision == TrialScheduler.STOP or epoch == EPOCHS:
            engine.scheduler.on_trial_complete(None, trial, result)
            engine.searcher.on_trial_complete(trial.trial_id, result)
            stream.emit(TRIAL_DONE if epoch == EPOCHS else TRIAL_STOPPED, number, unread=[])
            return
        engine.searcher.on_trial_result(trial.trial_id, result)


def outcome(history: History) -> dict:
    return {
        number: (
            record.state,
            record.params,
            record.settings,
            [(row["epoch"], row["val_score"]) for row in record.rows],
        )
        for number, record in history.trials.items()
    }


SCHEDULERS = {
    "none": {},
    "asha": {"reduction_factor": 3.0},
    "asha stopping": {"type": "stopping", "reduction_factor": 3.0},
    "hyperband": {"reduction_factor": 3.0},
    "median": {},
    "pbt": {"perturbation_interval": 2},
    "pb2": {"perturbation_interval": 2},
}
FAULTS = {
    "nothing": {},
    "its own": {(1, 2): OWN, (3, 1): OWN},
    "tried again": {(1, 3): CAN_BE_RETRIED, (2, 1): CAN_BE_RETRIED, (4, 2): CAN_BE_RETRIED},
}


def options_of(scheduler: str, **more) -> SearchOptions:
    name = scheduler.split()[0]
    sampler = NamedOptions("random", {}) if name in ("pbt", "pb2") else NamedOptions("tpe", {"n_startup_trials": 3})
    return SearchOptions(num_samples=7, sampler=sampler, scheduler=NamedOptions(name, SCHEDULERS[scheduler]), **more)


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_search_ends_the_same_whenever_its_driver_dies(scheduler, faults):
    options = options_of(scheduler, reference=True)
    whole = play(options, FAULTS[faults])
    assert sorted(whole.trials) == list(range(8))
    reference = whole.trials.pop(7)
    assert reference.is_reference and len(reference.rows) == EPOCHS and reference.settings == {RATE: 0}
    assert outcome(play(options_of(scheduler), FAULTS[faults])) == outcome(whole), "the samples are what they were"
    whole.trials[7] = reference
    assert all(record.state in FINISHED for record in whole.trials.values())
    assert any(record.state == DONE for record in whole.trials.values())
    failed = {number for number, record in whole.trials.items() if record.state == FAILED}
    assert failed == ({1, 3} if faults == "its own" and scheduler != "median" else failed)
    if faults == "tried again":
        assert not failed
    for dies_after in range(3, 60, 7):
        assert outcome(play(options, FAULTS[faults], dies_after)) == outcome(whole), dies_after


KINDS = Space(
    [*SPACE.items, Parameter("kind", "", distribution=Choice(("slow", "fast")))],
    default={RATE: 0.5, "kind": "fast"}.get,
)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median"])
def test_a_search_of_kinds_ends_the_same_whenever_its_driver_dies(scheduler, sampler):
    options = options_of(scheduler, reference=True, kinds=("kind",))
    options = replace(options, num_samples=14, sampler=NamedOptions(sampler, {}))
    whole = play(options, FAULTS["tried again"], space=KINDS)
    assert {record.params["kind"] for record in whole.samples() if record.state == DONE} == {"slow", "fast"}
    assert outcome(whole) != outcome(play(replace(options, kinds=()), FAULTS["tried again"], space=KINDS))
    for dies_after in range(3, 100, 9):
        again = play(options, FAULTS["tried again"], dies_after, KINDS)
        assert outcome(again) == outcome(whole), dies_after


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_defaults_outside_a_range_are_trained_and_told_as_far_as_they_lie_within(sampler):
    space = Space(
        [*SPACE.items, Parameter("decay", "", distribution=FloatRange("loguniform", 1e-6, 1e-2))],
        default={RATE: 0.01, "decay": 0.0}.get,
    )
    options = options_of("none", reference=True)
    options = replace(options, sampler=NamedOptions(sampler, {}), start=(StartPoint(None, "start"),))
    (start,) = [start_values(options.start[0], space, [])]
    assert start == {RATE: 0.01, "decay": 0.0}
    whole = play(options, space=space, start=[start])
    assert whole.trials[0].params == whole.reference().params == {RATE: 0.01, "decay": 0.0}
    for dies_after in (4, 20, 40):
        assert outcome(play(options, dies_after=dies_after, space=space, start=[start])) == outcome(whole)
    told = build_engine(space, options, EPOCHS, 1, whole).searcher.told()
    outside = [trial.params for trial in told if "decay" not in trial.params]
    assert outside == ([{RATE: 0.01}] * 2 if sampler == "tpe" else []), "the first sample, and the reference"
    assert len(told) - len(outside) == 6


def test_a_reference_that_fails_is_missed_by_nobody():
    options = options_of("pbt", reference=True)
    history = play(options, {(7, 2): OWN})
    assert history.trials[7].state == FAILED and not history.trials[7].is_sample
    assert outcome(play(options_of("pbt"))) == {n: one for n, one in outcome(history).items() if n != 7}


def test_the_reference_comes_first_and_counts_as_no_sample():
    options = options_of("asha", reference=True, confirm=Confirm(top=2, seeds=2))
    history = play(options)
    assert next(iter(history.trials)) == 7
    assert len(history.samples()) == 7 and history.reference() is history.trials[7]
    repeated = [record.confirms for record in history.trials.values() if record.confirms is not None]
    assert repeated.count(7) == 2 and len(set(repeated)) == 3, "the best two, and the reference always"
    more, plain = replace(options, num_samples=9), options_of("asha", confirm=Confirm(top=2, seeds=2))
    extended = build_engine(SPACE, more, EPOCHS, 1, history).searcher
    alone = play(options_of("asha"))
    samples = build_engine(SPACE, replace(plain, num_samples=9, confirm=None), EPOCHS, 1, alone).searcher
    assert extended.has_more()
    ours, theirs = extended.suggest("a"), samples.suggest("a")
    assert ours["params"] == theirs["params"] and (ours["number"], theirs["number"]) == (14, 7), "the same sample"


def test_without_a_reference_nothing_is_confirmed_by_itself():
    options = options_of("asha", reference=True, confirm=Confirm(1, 2, is_auto=True))
    assert [r.confirms for r in play(options).trials.values() if r.confirms is not None].count(7) == 2
    assert all(r.confirms is None for r in play(options, {(7, 2): OWN}).trials.values())


def test_a_target_and_patience_are_of_samples():
    options = options_of("none", stop=StopRules(target=50.0, patience=2))
    history = play(options_of("none", reference=True, stop=StopRules(patience=100)))
    history.trials[7].rows[-1]["val_score"] = 99.0  # better than all, and beyond the target
    assert history.best_trial("val_score") is history.trials[7]
    for record in history.samples():
        record.rows[-1]["val_score"] = 20.0 + record.ended
    assert stop_reason(options, history) is None, "each sample is better than those before"
    history.samples()[0].rows[-1]["val_score"] = 60.0
    assert stop_reason(options, history) == "target reached: val_score 60.0000"


def test_repeats_follow_a_target_that_is_reached():
    options = options_of("asha", stop=StopRules(target=0.0), confirm=Confirm(top=1, seeds=3))
    history = play(options)
    assert len(history.samples()) < 7
    repeats = [record for record in history.trials.values() if record.confirms is not None]
    assert len(repeats) == 3 and all(record.state == DONE for record in repeats)


def test_a_population_keeps_to_the_constraints():
    space = Space(SPACE.items, default=lambda key: 0, problems=lambda p: ["too high"] if p.params[RATE] > 0.05 else [])
    history = play(options_of("pbt"), space=space)
    assert any(record.donor for record in history.trials.values())
    assert all(record.params[RATE] <= 0.05 for record in history.trials.values())


def test_a_failed_trial_gives_its_place_to_another():
    space = Space([Parameter(RATE, "", distribution=Choice((0.1, 0.2, 0.3, 0.4)))], default=lambda key: 0)
    options = SearchOptions(
        num_samples=4,
        sampler=NamedOptions("grid", {}),
        scheduler=NamedOptions("asha", {"reduction_factor": 4.0}),
    )
    whole = play(options, space=space)
    (best,) = (number for number, record in whole.trials.items() if record.state == DONE)
    history = play(options, {(best, 5): OWN}, space=space)
    assert history.trials[best].state == FAILED
    assert [record.state for record in history.trials.values()].count(DONE) == 1, "the next one goes on in its place"
