"""ASHA's rungs against cut-offs worked out by hand, and what is Ray Tune's rule against Ray Tune's."""

import numpy as np
import pytest
from ray.tune.schedulers import ASHAScheduler, MedianStoppingRule

from search.engine.schedulers.asha_stopping import StoppingRungs, powers
from search.engine.schedulers.median import MedianRule
from search.engine.schedulers.rungs import Rungs, milestones
from search.engine.schedulers.scheduler import CONTINUE, STOP, WAIT, Decision, Scheduler, build_scheduler
from search.record.events import TrialStarted
from search.record.outcomes import State
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


def scheduler(metric="val_score", **options) -> Scheduler:
    chosen = {"type": "stopping", "grace_period": 1, "reduction_factor": 3.0, **options}
    built = build_scheduler(SearchOptions(metric=metric, scheduler=NamedOptions("asha", chosen)), Space([]), 9)
    for number in range(9):
        built.start(TrialStarted(number, "id", {}, {}))
    return built


@pytest.mark.parametrize(("metric", "sign"), [("val_score", 1), ("val_loss", -1)])
def test_rungs(metric, sign):
    asha = scheduler(metric)
    for number, epoch, value, decision in REPORTS:
        answer = asha.reach(number, {"epoch": epoch, metric: sign * value})
        assert answer.decision.name == decision, (number, epoch)


def reports(seed: int, trials: int, epochs: int) -> list[tuple[int, int, float]]:
    """Epochs of several trials in a random order, each trial's in their own."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.repeat(np.arange(trials), epochs))
    reached = dict.fromkeys(range(trials), 0)
    made = []
    for number in map(int, order):
        reached[number] += 1
        made.append((number, reached[number], float(rng.normal(number / 5, 1))))
    return made


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("name", "grace", "factor"), [("median", 2, 0), ("asha", 1, 3), ("asha", 2, 1.2)])
def test_what_is_ray_tunes_rule_decides_as_ray_tune_does(name, grace, factor, seed, mode):
    if name == "asha":
        rays = ASHAScheduler("epoch", "value", mode, max_t=9, grace_period=grace, reduction_factor=factor)
        ours: Scheduler = StoppingRungs("value", mode, powers(grace, factor, 9), factor, 9)
    else:
        rays = MedianStoppingRule("epoch", "value", mode, grace_period=2, min_time_slice=float("inf"))
        ours = MedianRule("value", mode, 2, 3)
    trials = {number: RayTrial(number) for number in range(12)}
    for trial in trials.values():
        rays.on_trial_add(None, trial)
    decisions = []
    ended: set[int] = set()
    for number, epoch, value in reports(seed, 12, 9):
        if number in ended:
            continue
        row = {"epoch": epoch, "value": value}
        expected = rays.on_trial_result(None, trials[number], row)
        decisions.append(expected)
        assert ours.reach(number, row) == (STOP if expected == "STOP" else CONTINUE), (number, epoch)
        if expected == "STOP" or epoch == 9:
            ended.add(number)
            rays.on_trial_complete(None, trials[number], row)
            ours.end(number, State.STOPPED)
    assert {"STOP", "CONTINUE"} == set(decisions)


class RayTrial:
    """What Ray's schedulers see of a trial."""

    def __init__(self, number: int):
        self.trial_id = str(number)


def test_reports_that_are_told_again_give_the_same_decisions():
    live, again = scheduler(), scheduler()
    for asha in (live, again):
        decisions = [
            asha.reach(n, {"epoch": epoch, "val_score": value}).decision.name for n, epoch, value, _ in REPORTS
        ]
        assert decisions == [decision for *_, decision in REPORTS]
    # trial 4 goes on after a resume, and is not compared at rungs that it has passed
    again.start(TrialStarted(4, "id", {}, {}))
    assert again.reach(4, {"epoch": 4, "val_score": 0.0}) == CONTINUE


def test_without_a_scheduler_nothing_is_stopped():
    none = build_scheduler(SearchOptions(scheduler=NamedOptions("none", {})), Space([]), 9)
    assert none.reach(0, {"epoch": 1, "val_score": 0.0}) == CONTINUE and none.next(is_full=True) is None


# The same with trials that wait: of n trials at a rung the best n // 3 go on.
WAITING_REPORTS = [
    (0, 1, 0.5, "WAIT"),  # one of one: none goes on
    (1, 1, 0.3, "WAIT"),
    (2, 1, 0.6, "CONTINUE"),  # the best of three
    (3, 1, 0.55, "WAIT"),
    (4, 1, 0.1, "WAIT"),
    (2, 2, 0.0, "CONTINUE"),  # epoch 2 is no rung
    (2, 3, 0.7, "WAIT"),
    (5, 1, 0.2, "WAIT"),  # of six now two may go on: 2 is gone, so that it is 3
]


@pytest.mark.parametrize(("metric", "sign"), [("val_score", 1), ("val_loss", -1)])
def test_waiting_at_rungs(metric, sign):
    asha = scheduler(metric, type="promotion")
    for number, epoch, value, decision in WAITING_REPORTS:
        assert asha.next(is_full=False) is None
        answer = asha.reach(number, {"epoch": epoch, metric: sign * value})
        assert answer.decision.name == decision
        assert (answer.promotion is not None) == (number == 2 and epoch == 1), "it is among the best at once"
    assert asha.next(is_full=False) == 3
    assert asha.leave(3).rung == 1 and asha.leave(3) is None
    assert asha.next(is_full=False) is None


def test_the_highest_rung_goes_first():
    rungs = Rungs("val_score", "max", [1, 3], 3)
    for number in range(3):
        rungs.reach(number, {"epoch": 3, "val_score": 0.1 * number})
    for number in range(3, 9):
        rungs.reach(number, {"epoch": 1, "val_score": 0.9})
    assert rungs.next() == 2
    rungs.leave(2)
    assert rungs.next() == 3  # of equals the earliest


def test_a_trial_that_starts_again_waits_no_longer():
    asha = scheduler(type="promotion")
    for number, epoch, value, _ in WAITING_REPORTS:
        asha.reach(number, {"epoch": epoch, "val_score": value})
    asha.start(TrialStarted(3, "id", {}, {}))
    assert asha.next(is_full=False) is None


def test_every_trial_ends_at_max_t():
    asha = scheduler(type="promotion", max_t=4)
    decisions = [asha.reach(0, {"epoch": epoch, "val_score": 0.5}).decision for epoch in range(1, 5)]
    assert decisions == [Decision.WAIT, Decision.CONTINUE, Decision.CONTINUE, Decision.STOP]
    assert WAIT.promotion is None


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
