"""What samplers are told about trials, and the samples they make."""

import pytest
from optuna.trial import TrialState

from configs.errors import ConfigError
from search.engine.sampler import build_sampler
from search.engine.searcher import TruthfulOptunaSearch
from search.engine.study import Study
from search.record.history import DONE, FAILED, RUNNING, STOPPED, History, TrialRecord
from search.space.distributions import Choice, FloatRange, QuantisedRange
from search.space.items import Condition, Parameter
from search.space.options import SAMPLERS, NamedOptions, SearchOptions
from search.space.space import Space

SPACE = Space([Parameter("x", "", distribution=FloatRange("uniform", 0, 1))])


def study_of(sampler: str, records: list[TrialRecord], others: tuple[str, ...] = ()) -> Study:
    study = Study(SPACE, SearchOptions(sampler=NamedOptions(sampler, {}), others=others))
    for record in records:
        point = SPACE.fits(record.params)
        assert point is not None
        study.add(record.number, point)
    return study


def record(number: int, state: str, scores: list[float], params: int = 10) -> TrialRecord:
    rows = [{"epoch": epoch, "val_score": score, "params": params} for epoch, score in enumerate(scores, start=1)]
    return TrialRecord(number, "id", {"x": number / 100}, {}, state, rows)


def told(sampler: str, records: list[TrialRecord], others: tuple[str, ...] = ()) -> list[tuple]:
    trials = study_of(sampler, records, others).told(records)
    return [(trial.state.name, trial.values, trial.intermediate_values) for trial in trials]


def test_tpe_is_told_every_epoch():
    records = [record(0, DONE, [0.1, 0.9, 0.8]), record(1, STOPPED, [0.3]), record(2, RUNNING, [0.2, 0.4])]
    assert told("tpe", records) == [
        ("COMPLETE", [0.9], {1: 0.1, 2: 0.9, 3: 0.8}),
        ("PRUNED", None, {1: 0.3}),
        ("PRUNED", None, {1: 0.2, 2: 0.4}),  # what has been seen of it counts already
    ]


@pytest.mark.parametrize("sampler", ["gp", "nsga2", "cmaes"])
def test_others_are_told_the_best_epoch_of_every_trial_that_ended(sampler):
    records = [record(0, DONE, [0.1, 0.9, 0.8]), record(1, STOPPED, [0.3]), record(2, RUNNING, [0.2])]
    ended = [trial for trial in told(sampler, records) if trial[0] != "RUNNING"]
    assert ended == [("COMPLETE", [0.9], {}), ("COMPLETE", [0.3], {})]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_failures_violate_a_constraint(sampler):
    records = [record(0, DONE, [0.4]), record(1, DONE, [0.8]), record(2, FAILED, [])]
    trial = study_of(sampler, records).told(records)[-1]
    assert trial.constraints == {"failed": 1.0}
    if sampler == "tpe":
        assert trial.state == TrialState.PRUNED
    else:
        assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.4), "the worst that is known"


def late_failures(sampler: str, options: dict, trials: int) -> int:
    """How many samples of the second half lie where every trial fails."""
    kind = Parameter("kind", "", distribution=Choice(("good", "raising")))
    x = Parameter("x", "", distribution=FloatRange("uniform", 0, 1))
    z = Parameter("z", "", distribution=FloatRange("loguniform", 0.01, 1))
    chosen = SearchOptions(sampler=NamedOptions(sampler, options), num_samples=trials, max_failures=0)
    searcher = TruthfulOptunaSearch(Space([kind, x, z]), chosen, History(), 1)
    kinds = []
    for number in range(trials):
        params = searcher.suggest(str(number))["params"]
        kinds.append(params["kind"])
        row = {"epoch": 1, "val_score": -((params["x"] - 0.6) ** 2), "total_epochs": 1}
        failure = {"failure": "it raises", "fault": "own"}
        searcher.on_trial_complete(str(number), row if params["kind"] == "good" else failure)
    return kinds[trials // 2 :].count("raising")


@pytest.mark.parametrize(
    ("sampler", "options", "trials"),
    [
        ("tpe", {"n_startup_trials": 5}, 24),
        ("gp", {"n_startup_trials": 5}, 12),  # it takes a second a sample
        ("nsga2", {"population_size": 5}, 24),
    ],
)
def test_samplers_go_on_after_failures_and_keep_away(sampler, options, trials):
    assert late_failures(sampler, options, trials) <= late_failures("random", {}, trials) / 2


def test_several_objectives_are_told_together():
    records = [record(0, DONE, [0.4, 0.6], params=10), record(1, STOPPED, [0.8], params=20)]
    assert [trial[:2] for trial in told("tpe", records, ("params",))] == [
        ("COMPLETE", [0.6, 10]),
        ("COMPLETE", [0.8, 20]),
    ]


def test_random_search_is_told_nothing():
    assert told("random", [record(0, DONE, [0.4])]) == []


MIXED = Space(
    [
        Parameter("kind", "", distribution=Choice(("a", "b"))),
        Parameter("x", "", distribution=FloatRange("uniform", 0, 1)),
        Parameter("y", "", when=(Condition("kind", ("a",)),), distribution=FloatRange("loguniform", 0.01, 1)),
    ]
)
GRID = Space(
    [
        Parameter("kind", "", distribution=Choice(("a", "b"))),
        Parameter("x", "", distribution=QuantisedRange("quniform", 0, 1, 0.25)),
        Parameter("y", "", when=(Condition("kind", ("a",)),), distribution=Choice((1, 2))),
    ]
)


def play(sampler: str, number: int, history: History | None = None, seed: int = 0) -> list[dict]:
    """Trains trials one at a time; their score is x, less for kind b."""
    options = SearchOptions(sampler=NamedOptions(sampler, {}), seed=seed, num_samples=99)
    history = history or History()
    searcher = TruthfulOptunaSearch(GRID if sampler == "grid" else MIXED, options, history, slots=1)
    params = []
    for index in range(number):
        config = searcher.suggest(str(index))
        params.append(config["params"])
        score = config["params"]["x"] - (config["params"]["kind"] == "b")
        result = {"epoch": 1, "val_score": score, "total_epochs": 1}
        searcher.on_trial_complete(str(index), result)
        ended = TrialRecord(config["number"], config["id"], config["params"], config["settings"], DONE, [result])
        ended.notes = config["notes"]
        history.trials[config["number"]] = ended
        ended.ended = config["number"]
    return params


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_repeats_from_the_seed_and_goes_on_as_it_would_have(sampler):
    number = 13  # gp takes a third of a second for one
    whole = play(sampler, number)
    assert play(sampler, number) == whole
    assert play(sampler, number, seed=1) != whole
    history = History()
    assert play(sampler, 11, history) == whole[:11]
    assert play(sampler, 2, history) == whole[11:]
    assert len({str(params) for params in whole}) == number, "no point twice"
    assert all(("y" in params) == (params["kind"] == "a") for params in whole)


@pytest.mark.parametrize(("sampler", "number"), [("tpe", 40), ("gp", 18)])
def test_samplers_learn(sampler, number):
    late = play(sampler, number)[-6:]
    assert sum(params["kind"] == "a" and params["x"] > 0.5 for params in late) >= 4, "a quarter at random"


def test_a_grid_is_tried_whole_and_then_exhausted():
    options = SearchOptions(sampler=NamedOptions("grid", {}), num_samples=99)
    searcher = TruthfulOptunaSearch(GRID, options, History(), slots=99)
    params = []
    while isinstance(config := searcher.suggest(str(len(params))), dict):
        params.append(str(config["params"]))
    assert len(params) == len(set(params)) == GRID.size == 15
    assert searcher.is_exhausted


def test_a_sampler_whose_package_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cmaes", None)
    with pytest.raises(ConfigError, match=r"pip install 'yacstune\[cmaes\]'"):
        build_sampler(NamedOptions("cmaes", {}), 0)
