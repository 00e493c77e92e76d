"""ASHA's rungs, those of Ray and ours, against cut-offs worked out by hand."""

from types import SimpleNamespace

import pytest

from search.engine.rungs import Rungs, milestones
from search.engine.scheduler import build_scheduler
from search.record.events import TRIAL_DONE, TRIAL_REPORTED, TRIAL_STARTED, TRIAL_STOPPED, Event
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space

# (trial, epoch, val_score) in the order of reports, with reduction factor 3 and rungs at epochs 1 and 3: a trial is
# stopped if it is below the quantile 2/3 (with linear interpolation) of what its rung has seen before.
REPORTS = [
    (0, 1, 0.5, "CONTINUE"),  # the first of a rung always passes
    (1, 1, 0.3, "STOP"),  # below 0.5
    (2, 1, 0.6, "CONTINUE"),  # quantile of 0.3, 0.5 is 0.4333
    (3, 1, 0.53, "STOP"),  # quantile of 0.3, 0.5, 0.6 is 0.5333
    (4, 1, 0.53, "CONTINUE"),  # quantile of 0.3, 0.5, 0.53, 0.6 is 0.53: equal is enough
    (0, 2, 0.0, "CONTINUE"),  # epoch 2 is no rung
    (0, 3, 0.7, "CONTINUE"),
    (2, 2, 0.0, "CONTINUE"),
    (2, 3, 0.69, "STOP"),  # below 0.7
    (4, 2, 0.0, "CONTINUE"),
    (4, 3, 0.71, "CONTINUE"),  # quantile of 0.69, 0.7 is 0.6967
    (0, 9, 0.1, "STOP"),  # the last epoch
]


def scheduler(metric="val_score", **options):
    chosen = {"type": "stopping", "grace_period": 1, "reduction_factor": 3.0, **options}
    return build_scheduler(SearchOptions(metric=metric, scheduler=NamedOptions("asha", chosen)), Space([]), 9)


def trial(number: int):
    return SimpleNamespace(trial_id=f"any{number}", config={"number": number, "params": {}})


@pytest.mark.parametrize(("metric", "sign"), [("val_score", 1), ("val_loss", -1)])
def test_rungs(metric, sign):
    asha = scheduler(metric)
    for number in range(5):
        asha.on_trial_add(None, trial(number))
    for number, epoch, value, decision in REPORTS:
        result = {"epoch": epoch, metric: sign * value}
        assert asha.on_trial_result(None, trial(number), result) == decision, (number, epoch)


def _rungs_of(asha):
    """The rungs of Ray's own scheduler."""
    return asha._by_kind[""]._brackets[0]._rungs


def test_a_failed_report_is_no_report():
    asha = scheduler()
    asha.on_trial_add(None, trial(0))
    assert asha.on_trial_result(None, trial(0), {"failure": "nan"}) == "CONTINUE"
    assert not asha.replay([])


def test_replaying_events_gives_the_same_decisions_and_the_same_rungs():
    live = scheduler()
    events = [Event(TRIAL_STARTED, number, {"params": {}}) for number in range(5)]
    for number in range(5):
        live.on_trial_add(None, trial(number))
    stopped = []
    for number, epoch, value, _ in REPORTS:
        metrics = {"epoch": epoch, "val_score": value}
        events.append(Event(TRIAL_REPORTED, number, {"metrics": metrics}))
        if live.on_trial_result(None, trial(number), metrics) == "STOP":
            stopped.append(number)
            live.on_trial_complete(None, trial(number), metrics)
            events.append(Event(TRIAL_DONE if epoch == 9 else TRIAL_STOPPED, number, {}))
    replayed = scheduler()
    assert sorted(replayed.replay(events)) == sorted(stopped) == [0, 1, 2, 3]
    assert _rungs_of(replayed) == _rungs_of(live)
    # trial 4 goes on after a resume, and is not compared at rungs that it has passed
    replayed.on_trial_add(None, trial(4))
    assert replayed.on_trial_result(None, trial(4), {"epoch": 4, "val_score": 0.0}) == "CONTINUE"


def test_without_a_scheduler_nothing_is_stopped():
    fifo = build_scheduler(SearchOptions(scheduler=NamedOptions("none", {})), Space([]), 9)
    assert fifo.on_trial_result(None, trial(0), {"epoch": 1, "val_score": 0.0}) == "CONTINUE"


# The same with trials that wait: of n trials at a rung the best n // 3 go on.
WAITING_REPORTS = [
    (0, 1, 0.5, "STOP"),  # one of one: none goes on
    (1, 1, 0.3, "STOP"),
    (2, 1, 0.6, "CONTINUE"),  # the best of three
    (3, 1, 0.55, "STOP"),
    (4, 1, 0.1, "STOP"),
    (2, 2, 0.0, "CONTINUE"),  # epoch 2 is no rung
    (2, 3, 0.7, "STOP"),
    (5, 1, 0.2, "STOP"),  # of six now two may go on: 2 is gone, so that it is 3
]


@pytest.mark.parametrize(("metric", "sign"), [("val_score", 1), ("val_loss", -1)])
def test_waiting_at_rungs(metric, sign):
    asha = scheduler(metric, type="promotion")
    for number, epoch, value, decision in WAITING_REPORTS:
        assert asha.rungs.next() is None
        assert asha.on_trial_result(None, trial(number), {"epoch": epoch, metric: sign * value}) == decision
    assert asha.rungs.next() == 3
    asha.rungs.leave(3)
    assert asha.rungs.next() is None


def test_the_highest_rung_goes_first():
    asha = scheduler(type="promotion")
    for number in range(3):
        asha.rungs.reach(number, {"epoch": 3, "val_score": 0.1 * number})
    for number in range(3, 9):
        asha.rungs.reach(number, {"epoch": 1, "val_score": 0.9})
    assert asha.rungs.next() == 2
    asha.rungs.leave(2)
    assert asha.rungs.next() == 3  # of equals the earliest


def test_rungs_are_made_again_from_events():
    live, events = scheduler(type="promotion"), [Event(TRIAL_STARTED, number, {"params": {}}) for number in range(6)]
    for number, epoch, value, _ in WAITING_REPORTS:
        metrics = {"epoch": epoch, "val_score": value}
        events.append(Event(TRIAL_REPORTED, number, {"metrics": metrics}))
        if live.on_trial_result(None, trial(number), metrics) == "STOP":
            events.append(Event(TRIAL_STOPPED, number, {}))
    replayed = scheduler(type="promotion")
    assert sorted(replayed.replay(events)) == [0, 1, 2, 3, 4, 5]
    assert replayed.rungs.next() == live.rungs.next() == 3
    again = scheduler(type="promotion")
    again.replay([*events, Event(TRIAL_STARTED, 3, {"params": {}})])
    assert again.rungs.next() is None


@pytest.mark.parametrize(
    ("arguments", "epochs"),
    [
        ((1, 3, 9), [1, 3]),
        ((1, 4, 20), [1, 4]),  # none at 16
        ((1, 4, 50), [1, 4, 14]),  # the cube root of 50 is 3.68
        ((1, 4, 100), [1, 5, 22]),
        ((2, 3, 50), [2, 6, 17]),
        ((1, 1.5, 5), [1, 2, 3]),  # 1.495, 2.236, 3.344
        ((1, 1.01, 5), [1, 2, 3, 4]),
        ((5, 3, 6), [5]),
        ((5, 3, 5), []),
        ((1, 4, 1), []),
    ],
)
def test_milestones(arguments, epochs):
    assert milestones(*arguments) == epochs


def test_few_trials_have_one_that_goes_to_the_end():
    rungs = Rungs("val_score", "max", [1, 3], 3)
    for number in range(8):
        rungs.reach(number, {"epoch": 1, "val_score": 0.1 * number})
    gone_on = []
    while (number := rungs.next(is_full=True)) is not None:
        gone_on.append(number)
        rungs.reach(number, {"epoch": 3, "val_score": 0.1 * number}) if gone_on.count(number) < 2 else rungs.leave(
            number
        )
    assert gone_on == [7, 7, 6, 5]  # 3 of 8, and 1 of 3
