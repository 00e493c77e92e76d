"""What is said of the rungs of a search, from what its own trials show."""

from collections.abc import Sequence

import pytest

from search.record.history import History, TrialRecord
from search.record.outcomes import State
from search.record.rung_evidence import rung_evidence


def history(base: Sequence[float] | None, whole: Sequence[Sequence[float]], waiting: Sequence[float] = ()) -> History:
    """Makes a search whose samples are trained whole, or wait at the first rung."""
    found = History()

    def add(curve: Sequence[float], state: State, is_reference: bool = False) -> None:
        number = len(found.trials)
        rows = [{"epoch": epoch, "val_score": value} for epoch, value in enumerate(curve, start=1)]
        found.trials[number] = TrialRecord(number, "id", {}, {}, state, rows, is_reference=is_reference)

    for curve in whole:
        add(curve, State.DONE)
    for value in waiting:
        add([value], State.WAITING)
    if base:
        add(base, State.DONE, is_reference=True)
    return found


def said(found: History, rungs: Sequence[int] = (1,)) -> str | None:
    return rung_evidence(found, "val_score", rungs, 4, lambda record: "")


def test_a_base_that_a_rung_would_have_stopped_and_that_was_good():
    whole = [[0.5, 0.8], [0.6, 0.85], [0.4, 0.7]]
    found = said(history([0.1, 0.9], whole, waiting=[0.2, 0.3, 0.2, 0.3, 0.2]))
    assert found and found.startswith(
        "rungs may have held back what is good: after epoch 1 the base config was in place 9 of 9, where one in 4 goes "
        "on, and in place 1 of the 4 that were trained whole"
    )
    assert said(history([0.1, 0.9], whole, waiting=[0.2])) is None, "too few to tell"
    assert said(history([0.1, 0.6], whole, waiting=[0.2, 0.3, 0.2, 0.3, 0.2])) is None, "it was bad in the end too"
    assert said(history([0.7, 0.9], whole, waiting=[0.2, 0.3, 0.2, 0.3, 0.2])) is None, "it would have gone on"
    assert said(history(None, whole, waiting=[0.2] * 5)) is None


def test_kinds_are_compared_within_themselves():
    slow = history([0.1, 0.9], [[0.5, 0.8], [0.6, 0.85], [0.4, 0.7]], waiting=[0.2] * 8)
    assert said(slow) is not None
    kinds = dict.fromkeys(slow.trials, "fast") | {len(slow.trials) - 1: "slow"}
    assert rung_evidence(slow, "val_score", (1,), 4, lambda record: kinds[record.number]) is None


@pytest.mark.parametrize(("turn", "words"), [(1, "rungs could tell"), (-1, "rungs may have misled")])
def test_the_order_of_those_that_were_trained_whole(turn, words):
    whole = [[0.1 * place, 0.5 + 0.01 * turn * place + 0.6 * (turn < 0)] for place in range(1, 10)]
    found = said(history(None, whole))
    assert found and found.startswith(words)
    assert f"(rank correlation {turn}.00 of the 9 that were trained whole)" in found


def test_where_nothing_can_be_told_nothing_is_said():
    mixed = [[0.1, 0.9], [0.2, 0.5], [0.3, 0.8], [0.4, 0.6], [0.5, 0.7], [0.6, 0.9], [0.7, 0.6], [0.8, 0.8]]
    assert said(history(None, mixed)) is None
    assert said(history(None, [[0.1, 0.5]] * 9)) is None, "all are alike"
    assert said(history(None, mixed), rungs=()) is None
    assert said(History()) is None
