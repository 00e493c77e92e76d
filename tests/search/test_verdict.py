"""What is said of a search beside its base."""

import pytest

from search.record.confirmation import confirmed
from search.record.history import History, TrialRecord
from search.record.outcomes import State
from search.record.verdict import Verdict, verdict

SCORE, LOSS = "val_score", "val_loss"


def told(history: History, metric: str, by_cost: bool = True) -> Verdict | None:
    return verdict(history, metric, confirmed(history, metric, by_cost))


def record(
    number: int, score: float, state: State = State.DONE, confirms: int | None = None, macs: int = 1
) -> TrialRecord:
    row = {"epoch": 1, SCORE: score, LOSS: 1 - score, "macs": macs, "params": 1}
    return TrialRecord(number, "id", {}, {}, state, [row], confirms=confirms)


def history_of(base: TrialRecord | None, *records: TrialRecord) -> History:
    history = History()
    if base:
        base.is_reference = True
    for one in (base, *records):
        if one:
            history.trials[one.number] = one
    return history


def repeats(of: int, first: int, *scores: float, macs: int = 1) -> list[TrialRecord]:
    return [record(first + n, score, confirms=of, macs=macs) for n, score in enumerate(scores)]


def test_a_search_without_a_base_says_nothing():
    assert told(history_of(None, record(0, 0.5)), SCORE) is None


@pytest.mark.parametrize(("metric", "base", "best"), [(SCORE, "0.5000", "0.7500"), (LOSS, "0.5000", "0.2500")])
def test_single_trainings(metric, base, best):
    found = told(history_of(record(9, 0.5), record(0, 0.3, State.STOPPED), record(1, 0.75)), metric)
    assert found and found.margin == pytest.approx(0.25)
    assert found.text.startswith(f"trial 1 is better than the base config by 0.2500: {metric} {best}, the base {base}")
    assert "single trainings" in found.text and not found.is_base


def test_of_equals_the_base_is_the_best():
    found = told(history_of(record(9, 0.5), record(0, 0.5)), LOSS)
    assert found and found.is_base and found.text.startswith("no trial is better than the base config, val_loss 0.5000")
    tied = history_of(record(9, 0.5), record(0, 0.5), *repeats(9, 10, 0.5, 0.4), *repeats(0, 20, 0.4, 0.5))
    found = told(tied, SCORE, by_cost=False)
    assert found and found.is_base


def test_a_winner_of_repeats_is_not_compared_with_a_base_that_has_too_few():
    history = history_of(
        record(9, 0.5),
        record(0, 0.9),
        record(1, 0.8),
        *repeats(0, 20, 0.6, 0.61),
        *repeats(1, 30, 0.7, 0.71),
        *repeats(9, 40, 0.5),
    )
    found = told(history, SCORE)
    assert found and found.margin is None and found.text.startswith("trial 1 won; it cannot be compared")


def test_who_is_beaten_by_more_than_noise_does_not_win_by_cost():
    noisy, steady, cheap = (0.4, 0.9), (0.6, 0.601), (0.5, 0.501)
    history = history_of(
        record(9, 0.5, macs=5),
        record(0, 0.9, macs=9),
        record(1, 0.6, macs=1),
        *repeats(0, 20, *noisy, macs=9),
        *repeats(9, 30, *steady, macs=5),
        *repeats(1, 40, *cheap),
    )
    found = told(history, SCORE)
    assert found and found.is_base, "1 is tied with the best mean, but the base beats it"
    assert found.text.startswith("no trial is better than the base config by more than noise, ")


def test_nothing_better_is_said_and_the_base_is_the_best():
    history = history_of(record(9, 0.581), record(0, 0.512), record(1, 0.4, State.STOPPED))
    found = told(history, SCORE)
    assert found and found.margin == 0 and found.is_base
    assert found.text == (
        "no trial is better than the base config, val_score 0.5810; the best of them, trial 0, has 0.5120: best.yaml "
        "is the base"
    )
    best = history.best_trial(SCORE)
    assert best and best.is_reference
    alone = told(history_of(record(9, 0.5)), SCORE)
    assert alone and "no trial gave a result" in alone.text


@pytest.mark.parametrize(
    ("state", "why"), [(State.FAILED, "it failed: no room"), (State.INTERRUPTED, "not been trained to its end")]
)
def test_a_base_that_did_not_come_to_its_end_cannot_be_compared(state, why):
    base = record(9, 0.5, state)
    base.reason = "no room"
    found = told(history_of(base, record(0, 0.4)), SCORE)
    assert found and found.margin is None and why in found.text


def test_repeats_tell_a_margin_from_noise():
    base, best = record(9, 0.5), record(0, 0.6)
    clear = history_of(base, best, *repeats(9, 10, 0.5, 0.51, 0.49), *repeats(0, 20, 0.59, 0.6, 0.61))
    found = told(clear, SCORE)
    assert found and found.margin == pytest.approx(0.1)
    # Student's t for 4 degrees of freedom, two samples of three with a standard deviation of 0.01
    assert "better than the base config by 0.1000 +- 0.0227 (95 %), more than noise" in found.text
    close = history_of(base, best, *repeats(9, 10, 0.5, 0.55, 0.45), *repeats(0, 20, 0.48, 0.53, 0.58))
    found = told(close, SCORE)
    assert found and "by 0.0300 +- 0.1133 (95 %), which is within noise" in found.text


def test_a_lucky_best_loses_to_the_base_by_its_repeats():
    lucky = history_of(
        record(9, 0.5), record(0, 0.6), *repeats(9, 10, 0.5, 0.51, 0.49), *repeats(0, 20, 0.4, 0.41, 0.39)
    )
    found = told(lucky, SCORE)
    assert found and found.margin == 0
    assert "no trial is better than the base config, val_score 0.5000 +- 0.0160 (95 %) over 3 other" in found.text
    assert "trial 0, has 0.4000 +- 0.0160: best.yaml is the base" in found.text


def test_a_cheaper_trial_that_is_tied_with_the_base_wins():
    tied = history_of(
        record(9, 0.5, macs=2),
        record(0, 0.6),
        *repeats(9, 10, 0.5, 0.55, 0.45, macs=2),
        *repeats(0, 20, 0.47, 0.52, 0.42),
    )
    found = told(tied, SCORE)
    assert found and found.margin == pytest.approx(-0.03)
    assert found.text.startswith("trial 0 is worse than the base config by 0.0300 +-") and "within noise" in found.text
