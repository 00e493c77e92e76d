"""Population based training (Jaderberg et al. 2017) and PB2 (Parker-Holder et al. 2020).

Every trial waits after each interval of epochs until the whole population has come as far. Then the worst take over the
weights of the best, with values that are changed a little (pbt) or chosen by a Gaussian process (pb2), and all go on.
So the outcome does not depend on how many trials run at a time, and a population that is larger than the cluster is
trained as well as any other.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from search.engine.schedulers.scheduler import CONTINUE, WAIT, Answer, Scheduler, Setup, Takeover
from search.record.events import TrialStarted
from search.record.outcomes import State
from search.space.distributions import Choice, Distribution

FACTORS = (0.8, 1.2)  # by which pbt changes numbers
ATTEMPTS = 20  # to find values within the constraints
CANDIDATES = 1000  # among which pb2 chooses
CONFIDENCE = 1.0  # standard deviations that pb2 hopes for: a bad value costs a trial a whole interval


class Population(Scheduler):
    """Which trials wait for the others, and with what they go on.

    Args:
        setup: of the search; its samples are the population.
        resample: chance that pbt draws a value anew instead of changing it.
        is_bandit: whether values are chosen as in PB2.
    """

    def __init__(self, setup: Setup, resample: float, is_bandit: bool = False):
        options = setup.options
        self._space = setup.space
        self._total_epochs = setup.total_epochs
        self._metric, self._sign = options.metric, 1.0 if options.mode == "max" else -1.0
        self._size, self._seed = options.num_samples, options.seed
        self._interval: int = options.scheduler_options["perturbation_interval"]
        self._quantile: float = options.scheduler_options["quantile_fraction"]
        self._resample, self._is_bandit = resample, is_bandit
        self._values: dict[int, dict[str, Any]] = {}  # of the parameters, of each trial as it is now
        self._scores: dict[int, dict[int, float]] = {}  # by epoch, then by trial
        self._failed: set[int] = set()
        self._ready: dict[int, Takeover | None] = {}
        self._compared = 0  # the last epoch after which all have come together
        self._gains: list[tuple[float, list[float], float]] = []  # epoch, values from 0 to 1, gain of the interval

    def start(self, start: TrialStarted) -> None:
        # a population knows no branches, so that the name of a parameter is its key
        self._values[start.trial] = {
            parameter.name: start.params[parameter.key] for parameter in self._space.parameters
        }
        self.leave(start.trial)

    def reach(self, number: int, row: Mapping[str, Any]) -> Answer:
        epoch = int(row["epoch"])
        if epoch >= self._total_epochs:
            return CONTINUE
        if epoch % self._interval or epoch <= self._compared:  # an epoch may be reported again after a fault
            return CONTINUE
        self._scores.setdefault(epoch, {})[number] = self._sign * row[self._metric]
        before = self._scores.get(epoch - self._interval, {}).get(number)
        if before is not None:
            gain = self._scores[epoch][number] - before
            self._gains.append((epoch, self._positions(self._values[number]), gain / self._interval))
        self._compare(epoch)
        return WAIT

    def _compare(self, epoch: int) -> None:
        """Lets all go on, if all have come so far."""
        scores = {number: value for number, value in self._scores.get(epoch, {}).items() if number not in self._failed}
        if epoch <= self._compared or len(scores) + len(self._failed) < self._size:
            return
        self._compared = epoch
        ranked = sorted(scores, key=lambda number: (-scores[number], number))
        moved = min(int(np.ceil(self._quantile * len(ranked))), len(ranked) // 2)
        self._ready = dict.fromkeys(ranked)
        for number in ranked[len(ranked) - moved :]:
            rng = np.random.default_rng([self._seed, epoch, number])
            donor = int(rng.choice(ranked[:moved]))
            values = self._explore(self._values[donor], epoch, rng)
            self._ready[number] = Takeover(donor, epoch, values)
            self._scores[epoch][number] = scores[donor]  # what its next gain is counted from

    def next(self, is_full: bool) -> int | None:
        return min(self._ready, default=None)

    def leave(self, number: int) -> Takeover | None:
        return self._ready.pop(number, None)

    def end(self, number: int, state: State) -> None:
        if state in (State.FAILED, State.STOPPED_BY_USER):  # nobody waits for it any more
            self.leave(number)
            self._failed.add(number)
            if self._scores:
                self._compare(max(self._scores))

    def _explore(self, values: Mapping[str, Any], epoch: int, rng: np.random.Generator) -> dict[str, Any]:
        """Returns changed values that can be trained; those given, if none are found."""
        parameters = {p.name: p.distribution for p in self._space.parameters if p.name in values}
        numbers = {name: d for name, d in parameters.items() if not isinstance(d, Choice)}
        process = self._gains_of(numbers, epoch) if self._is_bandit and self._gains else None
        for _ in range(ATTEMPTS):
            if process:
                changed = dict(values) | _most_hopeful(process, numbers, rng)
            else:
                changed = {name: self._changed(d, values[name], rng) for name, d in parameters.items()}
            if not self._space.problems(self._space.point_of(changed)):
                return changed
        return dict(values)

    def _changed(self, distribution: Distribution, value: Any, rng: np.random.Generator) -> Any:
        if rng.random() < self._resample:
            return distribution.quantile(rng.random())
        return _perturbed(distribution, value, rng)

    def _positions(self, values: Mapping[str, Any]) -> list[float]:
        return [
            p.distribution.cdf(values[p.name])
            for p in self._space.parameters
            if p.name in values and not isinstance(p.distribution, Choice)
        ]

    def _gains_of(self, numbers: Mapping[str, Distribution], epoch: int) -> GaussianProcessRegressor:
        """Returns a Gaussian process of what an interval gains, by its time and the values of these parameters."""
        times = np.array([[time] for time, _, _ in self._gains]) / max(epoch, 1)
        points = np.hstack([times, np.array([positions for _, positions, _ in self._gains])])
        gains = np.array([gain for _, _, gain in self._gains])
        gains = (gains - gains.mean()) / (gains.std() or 1.0)
        # the dimension of time makes old gains count less, as the kernel of PB2 does
        kernel = ConstantKernel() * RBF([1.0] + [0.5] * len(numbers), (0.3, 10.0)) + WhiteKernel(0.1)
        process = GaussianProcessRegressor(kernel, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # few points do not fix every length scale
            return process.fit(points, gains)


def _most_hopeful(
    process: GaussianProcessRegressor, numbers: Mapping[str, Distribution], rng: np.random.Generator
) -> dict[str, Any]:
    """Returns the values, among random ones, with the highest upper confidence bound of the next gain."""
    candidates = rng.random((CANDIDATES, len(numbers)))
    mean, deviation = process.predict(np.hstack([np.ones((CANDIDATES, 1)), candidates]), return_std=True)
    best = candidates[int(np.argmax(mean + CONFIDENCE * deviation))]
    return {name: d.quantile(float(share)) for (name, d), share in zip(numbers.items(), best, strict=True)}


def _perturbed(distribution: Distribution, value: Any, rng: np.random.Generator) -> Any:
    """Returns a neighbour of a value: a number times one of FACTORS, the choice before or after."""
    if isinstance(distribution, Choice):
        return distribution.neighbour(value, int(rng.choice([-1, 1])))
    factor = float(rng.choice(FACTORS))
    changed = distribution.quantile(min(max(distribution.cdf(value * factor), 0.0), float(np.nextafter(1, 0))))
    if changed == value and distribution.size is not None:  # 0.8 times 2 is 2 again among whole numbers
        return distribution.neighbour(value, 1 if factor > 1 else -1)
    return changed
