"""The bridge tells Optuna the truth, and goes on where it was."""

from pathlib import Path

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.engine.rungs import Rungs
from search.engine.searcher import TruthfulOptunaSearch, other_seeds
from search.record.history import DONE, FAILED, INTERRUPTED, STOPPED, History, TrialRecord
from search.space.options import Confirm, NamedOptions, SearchOptions
from search.space.space import Space
from search.space.space_file import read_space

DROPOUT, DIMS = "MODEL.HEAD.DROPOUT", "MODEL.HEAD.HIDDEN_DIMS"


@pytest.fixture
def space():
    Path("s.yaml").write_text(f"space: {{{DROPOUT}: {{uniform: [0, 0.5]}}, {DIMS}: {{choice: [[], [8]]}}}}\n")
    return Space(read_space("s.yaml").items)


def make(
    space, history=None, metric="val_score", seed=0, slots=99, num_samples=20, rungs=None, max_failures=0, confirm=None
):
    options = SearchOptions(
        metric=metric,
        seed=seed,
        num_samples=num_samples,
        sampler=NamedOptions("tpe", {"n_startup_trials": 2}),
        max_failures=max_failures,
        confirm=confirm,
    )
    return TruthfulOptunaSearch(space, options, history or History(), slots, waiting=rungs)


def result(epoch: int, value: float, total: int = 9, metric: str = "val_score") -> dict:
    return {"epoch": epoch, metric: value, "total_epochs": total}


def record(number: int, state: str, values: list[float], dropout: float = 0.1) -> TrialRecord:
    rows = [{"epoch": epoch + 1, "val_score": value} for epoch, value in enumerate(values)]
    params = {DROPOUT: dropout, DIMS: [8]}
    return TrialRecord(number, "abc", params, params, state, rows)


def test_suggestions_are_values_of_the_space(space):
    config = make(space).suggest("a")
    assert config["number"] == 0 and config["heard"] == 0
    assert len(config["id"]) == 6
    assert 0 <= config["params"][DROPOUT] < 0.5
    assert config["params"][DIMS] in ([], [8])


def test_there_are_no_more_trials_than_slots(space):
    searcher = make(space, slots=2)
    assert searcher.suggest("a") and searcher.suggest("b")
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a", result(1, 0.5))
    assert searcher.suggest("c")["number"] == 2


def test_a_stopped_trial_is_pruned_with_all_its_values(space):
    searcher = make(space)
    searcher.suggest("a")
    searcher.on_trial_result("a", result(1, 0.2))
    searcher.on_trial_complete("a", result(2, 0.3))  # Ray gives the last result here alone
    (trial,) = searcher.told()
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {1: 0.2, 2: 0.3}


@pytest.mark.parametrize(("metric", "best"), [("val_score", 0.9), ("val_loss", 0.5)])
def test_a_finished_trial_is_complete_with_its_best_value(space, metric, best):
    searcher = make(space, metric=metric)
    searcher.suggest("a")
    searcher.on_trial_result("a", result(1, 0.9, 2, metric))
    searcher.on_trial_complete("a", result(2, 0.5, 2, metric))
    (trial,) = searcher.told()
    assert (trial.state, trial.value) == (TrialState.COMPLETE, best)


@pytest.mark.parametrize("end", [{"error": True}, {"result": {"failure": "nan", "epoch": 2}}, {"result": None}])
def test_a_failed_trial_violates_a_constraint(space, end):
    searcher = make(space)
    searcher.suggest("a")
    searcher.on_trial_result("a", result(1, 0.2))
    searcher.on_trial_complete("a", **end)
    (trial,) = searcher.told()
    assert (trial.state, trial.constraints) == (TrialState.PRUNED, {"failed": 1.0})


@pytest.mark.parametrize("end", [{"error": True}, {"result": {"failure": "disk", "fault": "can be retried"}}])
def test_a_fault_of_the_surroundings_is_tried_again(space, end):
    searcher = make(space, max_failures=2)
    first = searcher.suggest("a")
    searcher.on_trial_result("a", result(1, 0.2))
    for again in ("b", "c"):
        searcher.on_trial_complete({"b": "a", "c": "b"}[again], **end)
        assert searcher.suggest(again) == {**first, "heard": 1}, "from its last epoch"
    searcher.on_trial_complete("c", **end)
    assert searcher.suggest("d")["number"] == 1
    assert [trial.constraints for trial in searcher.told()] == [{"failed": 1.0}]


def test_what_raises_by_itself_is_not_tried_again(space):
    searcher = make(space, max_failures=2)
    searcher.suggest("a")
    searcher.on_trial_complete("a", {"failure": "ValueError", "fault": "own"})
    assert searcher.suggest("b")["number"] == 1


def play(searcher, number: int) -> list[dict]:
    """Runs trials one at a time; their value is their dropout."""
    configs = []
    for index in range(number):
        config = searcher.suggest(str(index))
        configs.append(config)
        searcher.on_trial_complete(str(index), result(1, config["params"][DROPOUT], total=1))
    return configs


def test_one_seed_fixes_the_whole_study(space):
    assert play(make(space), 8) == play(make(space), 8)
    assert play(make(space), 8) != play(make(space, seed=1), 8)


def test_a_resumed_study_goes_on_as_it_would_have(space):
    whole = play(make(space), 8)
    history = History()
    for config in whole[:5]:
        rows = [{"epoch": 1, "val_score": config["params"][DROPOUT]}]
        history.trials[config["number"]] = TrialRecord(
            config["number"], config["id"], config["params"], config["settings"], DONE, rows
        )
    assert play(make(space, history), 3) == whole[5:]


def test_resuming_keeps_finished_trials_and_suggests_the_others_first(space):
    history = History()
    history.trials = {
        0: record(0, DONE, [0.5, 0.9, 0.8]),
        1: record(1, STOPPED, [0.2]),
        2: record(2, INTERRUPTED, [0.3, 0.4], dropout=0.33),
        3: record(3, FAILED, []),
    }
    searcher = make(space, history)
    assert [t.state for t in searcher.told()] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    assert searcher.told()[0].value == 0.9
    assert searcher.told()[1].intermediate_values == {1: 0.2}
    first = searcher.suggest("x")
    assert (first["number"], first["id"], first["heard"]) == (2, "abc", 2)
    assert first["params"] == {DROPOUT: 0.33, DIMS: [8]}
    assert searcher.told()[-1].params[DROPOUT] == 0.33
    searcher.on_trial_result("x", result(2, 0.4))  # heard before
    searcher.on_trial_complete("x", result(3, 0.6, total=3))
    assert searcher.told()[-1].intermediate_values == {1: 0.3, 2: 0.4, 3: 0.6}
    assert searcher.suggest("y")["number"] == 4


def test_a_trial_that_waited_goes_on_and_is_known_once(space):
    rungs = Rungs("val_score", "max", [1, 3], 3)
    searcher = make(space, rungs=rungs, num_samples=4)
    configs = [searcher.suggest(str(number)) for number in range(4)]
    for number, value in enumerate([0.2, 0.7, 0.3]):
        rungs.reach(number, result(1, value))
        searcher.on_trial_complete(str(number), result(1, value))
    searcher.on_trial_result("3", result(1, 0.1))
    promoted = searcher.suggest("again")
    assert promoted == {**configs[1], "heard": 1}
    assert rungs.next() is None
    states = [(trial.state, trial.intermediate_values) for trial in searcher.told()]
    assert states == [
        *((TrialState.PRUNED, {1: 0.2}), (TrialState.PRUNED, {1: 0.3})),
        *((TrialState.PRUNED, {1: 0.1}), (TrialState.PRUNED, {1: 0.7})),  # those that run
    ]
    searcher.on_trial_complete("3", result(2, 0.2))
    searcher.on_trial_complete("again", result(9, 0.8))
    ended = [(trial.state, trial.intermediate_values) for trial in searcher.told()[2:]]
    assert ended == [(TrialState.PRUNED, {1: 0.1, 2: 0.2}), (TrialState.COMPLETE, {1: 0.7, 9: 0.8})]


def test_it_finishes_when_all_are_made_and_none_may_go_on(space):
    rungs = Rungs("val_score", "max", [1], 3)
    searcher = make(space, rungs=rungs, num_samples=3)
    for number in range(3):
        searcher.suggest(str(number))
    assert searcher.suggest("x") is None, "one of the three may have to go on"
    for number in range(3):
        rungs.reach(number, result(1, 0.1 * number))
        searcher.on_trial_complete(str(number), result(1, 0.1 * number))
    assert searcher.has_more()
    assert searcher.suggest("again")["number"] == 2
    assert not searcher.has_more() and searcher.suggest("x") is None
    searcher.on_trial_complete("again", result(9, 0.8))
    assert searcher.suggest("x") == Searcher.FINISHED


def test_a_trial_that_had_not_started_when_the_search_died_is_made_after_all(space):
    history = History()
    history.trials = {number: record(number, DONE, [0.5], dropout=0.1 + number / 100) for number in (1, 3)}
    searcher = make(space, history, num_samples=5, slots=1)
    configs = play(searcher, 3)
    assert [config["number"] for config in configs] == [0, 2, 4]
    assert searcher.suggest("x") == Searcher.FINISHED


def test_what_was_interrupted_goes_on_when_only_repeats_are_still_to_come(space):
    history = History()
    history.trials = {0: record(0, DONE, [0.5]), 1: record(1, INTERRUPTED, [0.9]), 2: record(2, INTERRUPTED, [0.8])}
    for trial in history.trials.values():
        trial.settings = {**trial.settings, "SEED": 0}
    history.trials[2].confirms, history.trials[2].params = 0, {"SEED": other_seeds(0, 1)[0]}
    searcher = make(space, history, confirm=Confirm(top=1, seeds=1))
    searcher.close()
    assert searcher.has_more()
    numbers = []
    for id in "ab":
        numbers.append(searcher.suggest(id)["number"])
        searcher.on_trial_complete(id, result(2, 0.9, total=2))
    repeat = searcher.suggest("c")
    assert numbers == [1, 2] and (repeat["number"], repeat["confirms"]) == (3, 1), "the best of all is repeated"
    searcher.on_trial_complete("c", result(2, 0.9, total=2))
    assert not searcher.has_more()
