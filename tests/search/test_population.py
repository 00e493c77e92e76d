"""Population based training on values worked out by hand."""

import numpy as np
import pytest
import yaml

from search.engine.schedulers.population import Population, _perturbed
from search.engine.schedulers.scheduler import WAIT, Setup, Takeover
from search.record.events import TrialStarted
from search.record.outcomes import State
from search.space.distributions import Choice, FloatRange, IntRange, QuantisedRange, read_distribution
from search.space.items import Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space

SPACE = Space([Parameter("rate", "", distribution=FloatRange("loguniform", 1e-4, 1))])


def start(people: Population, number: int, rate: float) -> None:
    people.start(TrialStarted(number, "id", {"rate": rate}, {}))


def population(size=4, interval=2, is_bandit=False, metric="val_score", resample=0.0):
    chosen = NamedOptions("pbt", {"perturbation_interval": interval, "quantile_fraction": 0.25})
    options = SearchOptions(metric=metric, num_samples=size, scheduler=chosen)
    people = Population(Setup(options, SPACE, total_epochs=100), resample, is_bandit)
    for number in range(size):
        start(people, number, 0.1 / (number + 1))
    return people


def report(people: Population, number: int, epoch: int, value: float) -> bool:
    return people.reach(number, {"epoch": epoch, "val_score": value, "val_loss": value}) == WAIT


@pytest.mark.parametrize(("metric", "sign"), [("val_score", 1), ("val_loss", -1)])
def test_all_wait_and_the_worst_takes_over_the_best(metric, sign):
    people = population(metric=metric)
    for number, value in enumerate([0.5, 0.9, 0.1, 0.6]):
        assert not report(people, number, 1, 0.0), "epoch 1 is within the interval"
        assert people.next(is_full=False) is None
        assert report(people, number, 2, sign * value)
    assert people.next(is_full=False) == 0 and people.leave(0) is None
    assert people.leave(1) is None
    takeover = people.leave(2)
    assert isinstance(takeover, Takeover)
    assert (takeover.donor, takeover.epoch) == (1, 2)
    assert takeover.values["rate"] == pytest.approx(0.05 * 0.8) or takeover.values["rate"] == pytest.approx(0.05 * 1.2)
    assert people.next(is_full=False) == 3


def test_nobody_waits_for_one_that_failed():
    people = population()
    for number in range(3):
        report(people, number, 2, 0.1 * number)
    assert people.next(is_full=False) is None
    people.end(3, State.FAILED)
    assert people.next(is_full=False) == 0
    for number in range(3):
        people.leave(number)
    people.end(0, State.FAILED)  # later: those that have been compared are not compared again
    assert people.next(is_full=False) is None
    report(people, 1, 4, 0.5)
    report(people, 2, 4, 0.6)
    assert people.next(is_full=False) == 1


def test_the_bandit_goes_where_gains_were_larger():
    people = population(size=6, interval=1, is_bandit=True)
    rates = {number: 10.0 ** (-4 * number / 5) for number in range(6)}
    values = dict.fromkeys(rates, 0.0)
    chosen: list[float] = []
    for epoch in range(1, 9):
        for number, rate in rates.items():
            start(people, number, rate)
            values[number] -= abs(np.log10(rate) + 1)  # nothing is lost at 0.1
            report(people, number, epoch, values[number])
        before = dict(values)
        for number in rates:
            if takeover := people.leave(number):
                values[number], rates[number] = before[takeover.donor], takeover.values["rate"]
                chosen.append(rates[number])
    assert np.mean([0.01 < rate < 1 for rate in chosen[-8:]]) >= 0.9


@pytest.mark.parametrize(
    "distribution",
    [
        FloatRange("uniform", 0.1, 1),
        FloatRange("loguniform", 1e-3, 1),
        QuantisedRange("quniform", 0, 1, 0.1),
        IntRange("randint", 1, 100),
        IntRange("lograndint", 1, 100),
        Choice(("a", "b", "c")),
    ],
)
def test_changed_values_stay_within_the_space_and_near(distribution):
    rng = np.random.default_rng(0)
    for share in (0.0, 0.3, 0.999):
        value = distribution.quantile(share)
        for _ in range(10):
            changed = _perturbed(distribution, value, rng)
            assert distribution.contains(changed)
            if isinstance(value, str):
                assert abs("abc".index(changed) - "abc".index(value)) <= 1
            else:
                step = distribution.q if isinstance(distribution, QuantisedRange) else isinstance(value, int)
                assert 0.79 * value - step <= changed <= 1.21 * value + step


@pytest.mark.parametrize(
    ("text", "value"), [("{randint: [1, 9]}", 2), ("{lograndint: [1, 9]}", 1), ("{quniform: [0, 1, 0.1]}", 0.1)]
)
def test_small_numbers_of_few_values_are_changed_too(text, value):
    distribution = read_distribution(yaml.safe_load(text))
    found = {_perturbed(distribution, value, np.random.default_rng(seed)) for seed in range(20)}
    assert found == {distribution.neighbour(value, -1), distribution.neighbour(value, 1)}


@pytest.mark.parametrize(
    "text", ["{uniform: [0, 2]}", "{loguniform: [0.01, 1]}", "{randint: [3, 9]}", "{quniform: [0, 1, 0.25]}"]
)
def test_cdf_is_the_inverse_of_quantile(text):
    distribution = read_distribution(yaml.safe_load(text))
    for share in (0.05, 0.4, 0.95):
        value = distribution.quantile(share)
        assert distribution.quantile(distribution.cdf(value)) == pytest.approx(value)
