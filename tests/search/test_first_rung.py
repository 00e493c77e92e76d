"""Which trials a sampler learns from, where the first rung says something of the next one and where it does not."""

from collections.abc import Sequence

import pytest

from search.engine.first_rung import FEWEST, instructive
from search.engine.proposals import Proposals
from search.record.history import TrialRecord
from search.record.outcomes import State
from search.space.distributions import FloatRange
from search.space.items import Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space

RUNGS = (1, 3)
SPACE = Space([Parameter("x", "MODEL.HEAD.DROPOUT", distribution=FloatRange("uniform", 0, 1))])


def record(number: int, curve: Sequence[float], state: State = State.WAITING) -> TrialRecord:
    rows = [{"epoch": epoch, "val_score": value} for epoch, value in enumerate(curve, start=1)]
    settings = {"MODEL.HEAD.DROPOUT": number / 100}
    return TrialRecord(number, "id", settings, settings, state, rows)


def trials(order: int, further: int = FEWEST, waiting: int = 8) -> list[TrialRecord]:
    """Makes trials that wait at the first rung, and some at the next one, in the same order there or the other way."""
    went_on = [record(number, [0.1 + number / 100, 0.2, 0.5 + order * number / 100]) for number in range(further)]
    return [*went_on, *(record(further + number, [0.1]) for number in range(waiting))]


def told(records: Sequence[TrialRecord], rungs: Sequence[int] = RUNGS) -> list[int]:
    return [one.number for one in instructive(records, "val_score", rungs)]


def test_all_tell_while_the_first_rung_is_borne_out():
    known = trials(order=1)
    assert told(known) == [one.number for one in known]


def test_those_at_the_first_rung_tell_nothing_where_it_is_not():
    assert told(trials(order=-1)) == list(range(FEWEST))


def test_all_tell_before_enough_have_gone_on():
    known = trials(order=-1, further=FEWEST - 1)
    assert told(known) == [one.number for one in known]


def test_a_first_rung_where_all_are_equal_says_nothing():
    plateau = [record(number, [0.1, 0.1, 0.1 + number / 100]) for number in range(FEWEST)]
    assert told([*plateau, record(50, [0.1])]) == list(range(FEWEST))


def test_failures_and_trials_that_have_not_reported_are_told_in_any_case():
    more = [record(50, [0.1], State.FAILED), record(51, [], State.RUNNING), record(52, [0.1], State.RUNNING)]
    assert told([*trials(order=-1), *more]) == [*range(FEWEST), 50, 51]


@pytest.mark.parametrize(("order", "tells"), [(1, True), (-1, False)])
def test_with_one_rung_it_is_compared_with_the_ends(order, tells):
    whole = [record(number, [number / 100, 0.5 + order * number / 100], State.DONE) for number in range(FEWEST)]
    assert (50 in told([*whole, record(50, [0.1])], rungs=(1,))) == tells


def test_without_rungs_all_tell():
    known = trials(order=-1)
    assert told(known, rungs=()) == [one.number for one in known]


@pytest.mark.parametrize(("sampler", "known"), [("tpe", FEWEST), ("nsga2", FEWEST + 8), ("random", FEWEST + 8)])
def test_it_is_a_matter_of_samplers_that_learn_from_epochs(sampler, known):
    proposals = Proposals(SPACE, SearchOptions(sampler=NamedOptions(sampler, {})), RUNGS)
    assert len(proposals.known(trials(order=-1))) == known
