"""Stop rules, repeats with other seeds, Pareto fronts."""

import math

import pytest

from search.engine.extra_trials import other_seeds
from search.engine.schedulers.rungs import Brackets, hyperband
from search.engine.stopping import stop_reason
from search.record.confirmation import confirmed
from search.record.history import History, TrialRecord
from search.record.outcomes import State
from search.record.pareto import pareto_front
from search.space.options import SearchOptions, StopRules


def history_of(*records: TrialRecord) -> History:
    history = History()
    for place, record in enumerate(records):
        record.end_order = place
        history.trials[record.number] = record
    return history


def record(
    number: int, score: float, state: State = State.DONE, macs: int = 10, confirms: int | None = None
) -> TrialRecord:
    row = {"epoch": 1, "val_score": score, "macs": macs, "params": 5}
    return TrialRecord(number, "id", {"SEED": number}, {}, state, [row], confirms=confirms)


@pytest.mark.parametrize(
    ("rules", "scores", "reason"),
    [
        (StopRules(), [0.9], None),
        (StopRules(target=0.9), [0.5, 0.8], None),
        (StopRules(target=0.9), [0.5, 0.9], "target reached: val_score 0.9000"),
        (StopRules(patience=2), [0.5, 0.4], None),
        (StopRules(patience=2), [0.5, 0.4, 0.5], "no better trial in the last 2"),
        (StopRules(patience=2), [0.5, 0.4, 0.6, 0.1], None),
    ],
)
def test_stop_rules(rules, scores, reason):
    history = history_of(*(record(number, score) for number, score in enumerate(scores)))
    assert stop_reason(SearchOptions(stop=rules), history) == reason


def test_patience_does_not_count_while_the_best_trains():
    history = history_of(record(0, 0.9, State.RUNNING), record(1, 0.1), record(2, 0.2))
    assert stop_reason(SearchOptions(stop=StopRules(patience=2)), history) is None


def test_the_cheapest_of_those_tied_within_noise_wins():
    repeats = {0: [0.90, 0.92, 0.91], 1: [0.905, 0.915, 0.905], 2: [0.5, 0.51, 0.52]}
    macs = {0: 30, 1: 20, 2: 10}
    records = [record(number, 0.9, macs=macs[number]) for number in repeats]
    for number, scores in repeats.items():
        records += [record(len(records) + i, s, macs=macs[number], confirms=number) for i, s in enumerate(scores)]
    found = confirmed(history_of(*records), "val_score")
    assert [one.record.number for one in found] == [1, 0, 2], "1 is a little worse than 0, but not clearly, and cheaper"
    assert found[1].mean == pytest.approx(0.91)
    pooled = (0.01**2 + 0.005**2 * 4 / 3 + 0.01**2) / 3
    assert [one.interval for one in found] == pytest.approx([2.4469118511449692 * math.sqrt(pooled / 3)] * 3)
    assert not found[2].is_tied_with(found[0])


def test_the_best_mean_wins_where_cost_does_not_count():
    records = [record(0, 0.9, macs=20), record(1, 0.89)]
    records += [record(2 + n, score, macs=20, confirms=0) for n, score in enumerate((0.9, 0.92))]
    records += [record(4 + n, score, confirms=1) for n, score in enumerate((0.89, 0.91))]
    winners = [confirmed(history_of(*records), "val_score", by_cost)[0].record.number for by_cost in (True, False)]
    assert winners == [1, 0], "they are tied, and 1 is cheaper"


def test_one_repeat_tells_nothing():
    assert confirmed(history_of(record(0, 0.9), record(1, 0.8, confirms=0)), "val_score") == []


def test_nobody_wins_while_the_best_has_no_repeats():
    repeats = [record(2, 0.8, confirms=0), record(3, 0.81, confirms=0)]
    assert confirmed(history_of(record(0, 0.8), *repeats), "val_score")
    assert confirmed(history_of(record(0, 0.8), record(1, 0.99), *repeats), "val_score") == []


def test_seeds_of_repeats():
    seeds = other_seeds(7, 5)
    assert len(set(seeds)) == 5 and 7 not in seeds and seeds == other_seeds(7, 5)
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_pareto_front():
    values = [(0.9, 30), (0.8, 10), (0.7, 20), (0.9, 30), (0.95, 50), (0.5, 10)]
    records = [record(number, score, macs=macs) for number, (score, macs) in enumerate(values)]
    records.append(record(6, 0.99, State.FAILED, macs=1))
    assert [one.number for one in pareto_front(records, ("val_score", "macs"))] == [4, 0, 1]


def test_brackets_of_hyperband():
    """Li et al. 2018, table 1, for R = 9 and a factor of 3: brackets of 9, 5 and 3 configs from 1, 3 and 9 epochs."""
    brackets = hyperband("val_score", "max", [1, 3], 3)
    assert [one.epochs for one in brackets._brackets] == [[1, 3], [3], []]
    assert brackets._shares == [9, 5, 3]
    places = [brackets._brackets.index(brackets._of(number)) for number in range(17)]
    assert [places.count(place) for place in range(3)] == [9, 5, 3]


def test_trials_of_a_bracket_are_compared_among_themselves():
    brackets = hyperband("val_score", "max", [1, 3], 3)
    assert isinstance(brackets, Brackets)
    by_place: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for number in range(17):
        by_place[brackets._brackets.index(brackets._of(number))].append(number)
    for number in by_place[1][:3]:
        assert not brackets.reach(number, {"epoch": 1, "val_score": 0.9}), "the second bracket begins at epoch 3"
    for value, number in enumerate(by_place[0][:3]):
        assert brackets.reach(number, {"epoch": 1, "val_score": 0.1 * value})
    assert brackets.next() == by_place[0][2]
    assert not brackets.reach(by_place[2][0], {"epoch": 3, "val_score": 0.1}), "the last one has no rung"
