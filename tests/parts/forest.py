"""A sampler that is not Optuna's: a random forest, as of SMAC (Hutter et al. 2011)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from configs.metric_names import sign
from search.engine.samplers.sampler import KnownTrial, Sample
from search.space.options import SearchOptions
from search.space.space import Point, Space

STARTUP, CANDIDATES = 5, 200


class ForestSampler:
    """Compares random candidates by the mean of a forest that was grown on the trials so far.

    Args:
        options: seed and metric.
        space: what is sampled.
    """

    takes_incomplete = False

    def __init__(self, options: SearchOptions, space: Space):
        self._options = options
        self._space = space

    def propose(self, trials: Sequence[KnownTrial], given: Mapping[str, Any], number: int, attempt: int) -> Sample:
        rng = np.random.default_rng([self._options.seed, number, attempt])
        metric = self._options.metric
        known = [trial for trial in trials if trial.sampled is not None and trial.record.rows]
        candidates = [self._space.random_point(rng) for _ in range(1 if len(known) < STARTUP else CANDIDATES)]
        if len(known) < STARTUP:
            return Sample(candidates[0])
        values = [sign(metric) * trial.record.best(metric)[metric] for trial in known]
        forest = RandomForestRegressor(30, random_state=0)
        forest.fit([self._vector(trial.sampled) for trial in known], values)
        expected = forest.predict([self._vector(point.sampled) for point in candidates])
        best: Point = candidates[int(np.argmax(expected))]
        return Sample(best, {"expected": float(expected.max())})

    def _vector(self, sampled: Mapping[str, Any]) -> list[float]:
        """Returns each value's place in its distribution, -1 for those that are not active."""
        places = []
        for parameter in self._space.parameters:
            value, values = sampled.get(parameter.name), parameter.distribution.size and parameter.distribution.values()
            if parameter.name not in sampled:
                places.append(-1.0)
            else:
                places.append(float(values.index(value)) if values else parameter.distribution.cdf(value))
        return places


def build(options: SearchOptions, space: Space) -> ForestSampler:
    """Builds it."""
    return ForestSampler(options, space)
