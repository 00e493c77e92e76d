"""What samplers are told about trials, and the samples they make."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import FrozenTrial, TrialState

from configs.errors import ConfigError
from search.engine.controller import Controller
from search.engine.proposals import NEAR, Proposals
from search.engine.samplers.sampler import build_sampler
from search.record.events import Event, SearchStarted, TrialStarted
from search.record.history import TrialRecord
from search.record.outcomes import Outcome, State
from search.space.distributions import Choice, FloatRange, QuantisedRange
from search.space.items import Condition, Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space
from search.space.space_file import read_space
from search.specs.samplers import SAMPLERS
from search.specs.spec import SamplerSpec

SPACE = Space([Parameter("x", "", distribution=FloatRange("uniform", 0, 1))])


def optuna_trials(sampler: str, records: list[TrialRecord], others: tuple[str, ...] = ()) -> list[FrozenTrial]:
    proposals = Proposals(SPACE, SearchOptions(sampler=NamedOptions(sampler, {}), others=others))
    for record in records:
        point = SPACE.fits(record.params)
        assert point is not None
        proposals.add(record.number, point)
    return proposals.sampler.as_optuna_trials(proposals.known(records))


def record(number: int, state: str, scores: list[float], params: int = 10) -> TrialRecord:
    rows = [{"epoch": epoch, "val_score": score, "params": params} for epoch, score in enumerate(scores, start=1)]
    return TrialRecord(number, "id", {"x": number / 100}, {}, state, rows)


def told(sampler: str, records: list[TrialRecord], others: tuple[str, ...] = ()) -> list[tuple]:
    trials = optuna_trials(sampler, records, others)
    return [(trial.state.name, trial.values, trial.intermediate_values) for trial in trials]


def test_tpe_is_told_every_epoch():
    records = [
        record(0, State.DONE, [0.1, 0.9, 0.8]),
        record(1, State.STOPPED, [0.3]),
        record(2, State.RUNNING, [0.2, 0.4]),
    ]
    assert told("tpe", records) == [
        ("COMPLETE", [0.9], {1: 0.1, 2: 0.9, 3: 0.8}),
        ("PRUNED", None, {1: 0.3}),
        ("PRUNED", None, {1: 0.2, 2: 0.4}),  # what has been seen of it counts already
    ]


@pytest.mark.parametrize("sampler", ["gp", "nsga2", "cmaes"])
def test_others_are_told_the_best_epoch_of_every_trial_that_ended(sampler):
    records = [record(0, State.DONE, [0.1, 0.9, 0.8]), record(1, State.STOPPED, [0.3]), record(2, State.RUNNING, [0.2])]
    ended = [trial for trial in told(sampler, records) if trial[0] != "RUNNING"]
    assert ended == [("COMPLETE", [0.9], {}), ("COMPLETE", [0.3], {})]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_failures_violate_a_constraint(sampler):
    records = [record(0, State.DONE, [0.4]), record(1, State.DONE, [0.8]), record(2, State.FAILED, [])]
    trial = optuna_trials(sampler, records)[-1]
    assert trial.constraints == {"failed": 1.0}
    if sampler == "tpe":
        assert trial.state == TrialState.PRUNED
    else:
        assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.4), "the worst that is known"


def begun(space: Space, options: SearchOptions, events: Sequence[Event] = (), slots: int = 1) -> Controller:
    """A controller of trials of one epoch."""
    controller = Controller(space, options, 1, events)
    controller.begin(SearchStarted(options=options.to_yaml()), slots)
    return controller


def late_failures(sampler: str, options: dict, trials: int) -> int:
    """How many samples of the second half lie where every trial fails."""
    kind = Parameter("kind", "", distribution=Choice(("good", "raising")))
    x = Parameter("x", "", distribution=FloatRange("uniform", 0, 1))
    z = Parameter("z", "", distribution=FloatRange("loguniform", 0.01, 1))
    chosen = SearchOptions(sampler=NamedOptions(sampler, options), num_samples=trials, max_failures=0)
    controller = begun(Space([kind, x, z]), chosen)
    kinds = []
    for number in range(trials):
        params = controller.next_trial().params
        kinds.append(params["kind"])
        if params["kind"] == "good":
            controller.report(number, {"epoch": 1, "val_score": -((params["x"] - 0.6) ** 2)})
        controller.end(number, Outcome.FINISHED if params["kind"] == "good" else Outcome.FAILED, "it raises")
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
    records = [record(0, State.DONE, [0.4, 0.6], params=10), record(1, State.STOPPED, [0.8], params=20)]
    assert [trial[:2] for trial in told("tpe", records, ("params",))] == [
        ("COMPLETE", [0.6, 10]),
        ("COMPLETE", [0.8, 20]),
    ]


def test_random_search_is_told_nothing():
    assert told("random", [record(0, State.DONE, [0.4])]) == []


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


def play(sampler: str, number: int, events: list[Event] | None = None, seed: int = 0) -> list[dict]:
    """Trains trials one at a time; their score is x, less for kind b. Adds to events."""
    options = SearchOptions(sampler=NamedOptions(sampler, {}), seed=seed, num_samples=99)
    events = [] if events is None else events
    controller = begun(GRID if sampler == "grid" else MIXED, options, events)
    params = []
    for _ in range(number):
        trial = controller.next_trial()
        params.append(trial.params)
        controller.report(trial.number, {"epoch": 1, "val_score": trial.params["x"] - (trial.params["kind"] == "b")})
        controller.end(trial.number, Outcome.FINISHED)
    events[:] = controller.history.events
    return params


FOREST = SamplerSpec(name="forest", meaning="a random forest", module="tests.parts.forest", learns_from="epochs")


def test_a_sampler_that_is_not_optunas_is_one_module_and_one_entry(monkeypatch):
    monkeypatch.setitem(SAMPLERS, "forest", FOREST)
    whole = play("forest", 24)
    events: list[Event] = []
    assert play("forest", 15, events) == whole[:15] and play("forest", 9, events) == whole[15:]
    started = [event for event in events if isinstance(event, TrialStarted)]
    assert len({str(params) for params in whole}) == 24 and "expected" in started[-1].notes
    late = [params["x"] - (params["kind"] == "b") for params in whole[-6:]]
    assert min(late) > 0.5, "it has learnt that kind a and a high x are good"
    Path("s.yaml").write_text("search: {sampler: forest}\nspace: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n")
    assert read_space("s.yaml").options.sampler.name == "forest", "space files know it"
    Path("s.yaml").write_text("search: {sampler: {forest: {trees: 5}}}\nspace: {SEED: {choice: [1, 2]}}\n")
    with pytest.raises(ConfigError, match="forest has no option 'trees'"):
        read_space("s.yaml")


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_repeats_from_the_seed_and_goes_on_as_it_would_have(sampler):
    number = 13  # gp takes a third of a second for one
    whole = play(sampler, number)
    assert play(sampler, number) == whole
    assert play(sampler, number, seed=1) != whole
    events: list[Event] = []
    assert play(sampler, 11, events) == whole[:11]
    assert play(sampler, 2, events) == whole[11:]
    assert len({str(params) for params in whole}) == number, "no point twice"
    assert all(("y" in params) == (params["kind"] == "a") for params in whole)


@pytest.mark.parametrize(("sampler", "number"), [("tpe", 40), ("gp", 18)])
def test_samplers_learn(sampler, number):
    late = play(sampler, number)[-6:]
    assert sum(params["kind"] == "a" and params["x"] > 0.5 for params in late) >= 4, "a quarter at random"


def test_a_grid_is_tried_whole_and_then_exhausted():
    options = SearchOptions(sampler=NamedOptions("grid", {}), num_samples=99)
    controller = begun(GRID, options, slots=99)
    params = []
    while trial := controller.next_trial():
        params.append(str(trial.params))
    assert len(params) == len(set(params)) == GRID.size == 15
    assert controller.is_exhausted


def test_a_sampler_whose_package_is_missing(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cmaes", None)
    with pytest.raises(ConfigError, match=r"pip install 'yacstune\[cmaes\]'"):
        build_sampler(SearchOptions(sampler=NamedOptions("cmaes", {})), SPACE)


def test_samples_that_are_asked_for_at_once_are_spread():
    """Those of tpe were all within 0.002 of one another: 24 trials are done, and eight slots wait for samples."""
    space = Space([Parameter(key, "", distribution=FloatRange("uniform", 0, 1)) for key in ("x", "y")])
    options = SearchOptions(num_samples=100, scheduler=NamedOptions("none", {}))
    controller = Controller(space, options, total_epochs=1)
    controller.begin(SearchStarted(), slots=8)
    points: list[tuple[float, float]] = []

    def next_point() -> int:
        trial = controller.next_trial()
        assert trial is not None
        points.append((trial.params["x"], trial.params["y"]))
        return trial.number

    for _ in range(24):
        number = next_point()
        (x, y) = points[-1]
        controller.report(number, {"val_score": 1 - (x - 0.35) ** 2 - (y - 0.6) ** 2, "epoch": 1})
        controller.end(number, Outcome.FINISHED)
    for _ in range(8):
        next_point()
    at_once = np.array(points[24:])
    distances = np.abs(at_once[:, None] - at_once[None]).max(axis=2) + np.eye(8)
    assert np.median(distances.min(axis=1)) > NEAR
    centre = np.linalg.norm(at_once - (0.35, 0.6), axis=1)
    assert np.median(centre) < 0.3, "and yet where it is good; random points are 0.4 away"
