"""The controller, driven without Ray one trial at a time: faults, and resumes at any moment."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from search.engine.controller import Controller
from search.engine.schedulers.scheduler import Decision
from search.engine.stopping import stop_reason
from search.record.events import EpochReported, Event, SearchStarted
from search.record.history import History, TrialRecord
from search.record.outcomes import ENDED, Outcome, State
from search.space.distributions import Choice, FloatRange
from search.space.items import Parameter
from search.space.options import Confirm, NamedOptions, SearchOptions, StartPoint, StopRules
from search.space.space import Space
from search.space.start import start_values

RATE = "MODEL.SOLVER.OPTIMIZER.BASE_LR"
SPACE = Space([Parameter(RATE, "", distribution=FloatRange("loguniform", 1e-4, 1))], default=lambda key: 0)
EPOCHS = 9


def play(
    options: SearchOptions,
    faults: dict | None = None,
    dies_after: int = 10**9,
    space: Space = SPACE,
    start=(),
    events: Sequence[Event] = (),
) -> History:
    """Runs a search; its driver dies after so many events, and another one resumes it.

    Args:
        options: how to search.
        faults: by (trial, epoch), how the trial fails there; each happens once.
        dies_after: events.
        space: what is sampled.
        start: values of the first trials.
        events: of a search that is resumed.
    """
    left = dict(faults or {})
    events = [*events]
    while True:
        controller = Controller(space, options, EPOCHS, events, start)
        history = controller.history

        def record(event: Event, history: History = history) -> None:
            events.append(event)
            history.add(event)

        controller.begin(SearchStarted(options=options.to_yaml()), slots=1, record=record)
        while trial := controller.next_trial():
            _train(trial, controller, left)
            if len(events) >= dies_after:
                dies_after = 10**9
                break
            if controller.should_stop():
                return history
        else:
            return history


def _train(trial: TrialRecord, controller: Controller, left: dict) -> None:
    for epoch in range(len(trial.rows) + 1, EPOCHS + 1):
        fault = left.pop((trial.number, epoch), None)
        if fault:
            controller.end(trial.number, fault, "it failed")
            return
        score = trial.params[RATE] * epoch + trial.number / 1000
        row = {"epoch": epoch, "val_score": score, "val_loss": -score, "macs": 1, "params": 1}
        if controller.report(trial.number, row) != Decision.CONTINUE:
            return
    controller.end(trial.number, Outcome.FINISHED)


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
    "its own": {(1, 2): Outcome.FAILED, (3, 1): Outcome.FAILED},
    "tried again": dict.fromkeys([(1, 3), (2, 1), (4, 2)], Outcome.EXTERNAL_FAILURE),
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
    assert all(record.state in ENDED for record in whole.trials.values())
    assert any(record.state == State.DONE for record in whole.trials.values())
    failed = {number for number, record in whole.trials.items() if record.state == State.FAILED}
    assert failed == ({1, 3} if faults == "its own" and scheduler != "median" else failed)
    if faults == "tried again":
        assert not failed
    for dies_after in range(3, 60, 7):
        assert outcome(play(options, FAULTS[faults], dies_after)) == outcome(whole), dies_after


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_search_ends_the_same_after_whichever_event_its_driver_dies(scheduler):
    options = replace(options_of(scheduler, reference=True), sampler=NamedOptions("random", {}))
    whole = play(options)
    for number in range(1, len(whole.events)):
        assert outcome(play(options, events=whole.events[:number])) == outcome(whole), whole.events[number]


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
    assert {record.params["kind"] for record in whole.samples() if record.state == State.DONE} == {"slow", "fast"}
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
    resumed = Controller(space, options, EPOCHS, whole.events)
    told = resumed.proposals.sampler.as_optuna_trials(resumed.proposals.known(resumed.known_trials()))
    outside = [trial.params for trial in told if "decay" not in trial.params]
    assert outside == ([{RATE: 0.01}] * 2 if sampler == "tpe" else []), "the first sample, and the reference"
    assert len(told) - len(outside) == 6


CHANGES = {
    "no scheduler": {"scheduler": NamedOptions("none", {})},
    "later rungs": {"scheduler": NamedOptions("asha", {"reduction_factor": 3.0, "grace_period": 3})},
    "hyperband": {"scheduler": NamedOptions("hyperband", {"reduction_factor": 3.0})},
    "median": {"scheduler": NamedOptions("median", {})},
    "stopping": {"scheduler": NamedOptions("asha", {"type": "stopping", "reduction_factor": 3.0})},
    "another metric": {"metric": "val_loss"},
    "another sampler": {"sampler": NamedOptions("random", {})},
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("before", ["asha", "none", "asha stopping", "median"])
def test_a_search_that_is_resumed_otherwise_ends_the_same_whenever_its_driver_dies(before, change):
    first = replace(options_of(before, reference=True), num_samples=12)
    begun = play(first).events[:50]
    known = History(begun)
    now = replace(first, **CHANGES[change])
    whole = play(now, events=begun)
    assert sorted(whole.trials) == list(range(13)) and all(r.state in ENDED for r in whole.trials.values())
    for number, record in known.trials.items():
        if record.state in (State.DONE, State.STOPPED):
            assert outcome(whole)[number] == outcome(known)[number], "what has ended counts as it is"
        assert whole.trials[number].rows[: len(record.rows)] == record.rows
    for dies_after in range(51, 110, 5):
        again = play(now, dies_after=dies_after, events=begun)
        assert outcome(again) == outcome(whole), dies_after


def test_what_waits_takes_its_place_under_another_scheduler():
    first = replace(options_of("asha"), num_samples=12)
    begun = play(first).events[:50]
    waiting = {record.number for record in History(begun).in_state(State.WAITING)}
    assert len(waiting) >= 4
    free = play(replace(first, **CHANGES["no scheduler"]), events=begun)
    assert {record.state for record in free.trials.values()} == {State.DONE}
    later = play(replace(first, **CHANGES["later rungs"]), events=begun)
    assert min(len(record.rows) for record in later.trials.values()) == 3, "the epoch of the first rung now"
    controller = Controller(SPACE, replace(first, **CHANGES["no scheduler"], num_samples=1), EPOCHS, begun)
    assert controller.has_more()


def test_a_changed_search_may_change_again_and_go_back():
    first = replace(options_of("asha"), num_samples=12)
    begun = play(first).events[:40]
    then = play(replace(first, **CHANGES["median"]), events=begun).events[:70]
    back = play(first, events=then)
    assert all(record.state in ENDED for record in back.trials.values()) and len(back.trials) == 12
    for dies_after in range(71, 110, 6):
        assert outcome(play(first, dies_after=dies_after, events=then)) == outcome(back)


def test_a_log_of_version_2_is_resumed_with_another_scheduler():
    first = options_of("asha")
    log = [replace(e, options={}, version=2) if isinstance(e, SearchStarted) else e for e in play(first).events[:30]]
    log = [replace(e, state=State.STOPPED) if getattr(e, "state", "") == State.WAITING else e for e in log]
    now = replace(first, **CHANGES["no scheduler"])
    controller = Controller(SPACE, now, EPOCHS, log, earlier=first)
    assert controller.has_more()
    controller.begin(SearchStarted(options=now.to_yaml()), slots=1)
    ended = play(now, events=controller.history.events)
    assert {record.state for record in ended.trials.values()} == {State.DONE}


def test_a_reference_that_fails_is_missed_by_nobody():
    options = options_of("pbt", reference=True)
    history = play(options, {(7, 2): Outcome.FAILED})
    assert history.trials[7].state == State.FAILED and not history.trials[7].is_sample
    assert outcome(play(options_of("pbt"))) == {n: one for n, one in outcome(history).items() if n != 7}


def test_the_reference_comes_first_and_counts_as_no_sample():
    options = options_of("asha", reference=True, confirm=Confirm(top=2, seeds=2))
    history = play(options)
    assert next(iter(history.trials)) == 7
    assert len(history.samples()) == 7 and history.reference() is history.trials[7]
    repeated = [record.confirms for record in history.trials.values() if record.confirms is not None]
    assert repeated.count(7) == 2 and len(set(repeated)) == 3, "the best two, and the reference always"
    more, plain = replace(options, num_samples=9), options_of("asha", confirm=Confirm(top=2, seeds=2))
    extended = Controller(SPACE, more, EPOCHS, history.events)
    alone = play(options_of("asha"))
    samples = Controller(SPACE, replace(plain, num_samples=9, confirm=None), EPOCHS, alone.events)
    assert extended.has_more()
    for controller in (extended, samples):
        controller.begin(SearchStarted(), slots=1)
    ours, theirs = extended.next_trial(), samples.next_trial()
    assert ours.params == theirs.params and (ours.number, theirs.number) == (14, 7), "the same sample"


def test_without_a_reference_nothing_is_confirmed_by_itself():
    options = options_of("asha", reference=True, confirm=Confirm(1, 2, is_auto=True))
    assert [r.confirms for r in play(options).trials.values() if r.confirms is not None].count(7) == 2
    assert all(r.confirms is None for r in play(options, {(7, 2): Outcome.FAILED}).trials.values())


def test_a_target_and_patience_are_of_samples():
    options = options_of("none", stop=StopRules(target=50.0, patience=2))
    played = play(options_of("none", reference=True, stop=StopRules(patience=100)))
    # each sample is better than those before, and the base better than all and beyond the target
    lasts = {record.number: 20.0 + record.end_order for record in played.samples()} | {7: 99.0}
    history = with_lasts(played, lasts)
    assert history.best_trial("val_score") is history.trials[7]
    assert stop_reason(options, history) is None
    assert stop_reason(options, with_lasts(played, lasts | {0: 60.0})) == "target reached: val_score 60.0000"


def with_lasts(history: History, values: dict[int, float]) -> History:
    """The same search with other values of the last epochs, by number of the trial."""
    return History(
        replace(event, metrics=event.metrics | {"val_score": values[event.trial]})
        if isinstance(event, EpochReported) and event.metrics["epoch"] == EPOCHS
        else event
        for event in history.events
    )


def test_repeats_follow_a_target_that_is_reached():
    options = options_of("asha", stop=StopRules(target=0.0), confirm=Confirm(top=1, seeds=3))
    history = play(options)
    assert len(history.samples()) < 7
    repeats = [record for record in history.trials.values() if record.confirms is not None]
    assert len(repeats) == 3 and all(record.state == State.DONE for record in repeats)


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
    (best,) = (number for number, record in whole.trials.items() if record.state == State.DONE)
    history = play(options, {(best, 5): Outcome.FAILED}, space=space)
    assert history.trials[best].state == State.FAILED
    assert [record.state for record in history.trials.values()].count(State.DONE) == 1, (
        "the next one goes on in its place"
    )
