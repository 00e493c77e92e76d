"""Random samples, Optuna's."""

from optuna.samplers import RandomSampler

from search.engine.samplers.optuna_sampler import OptunaSampler
from search.space.options import SearchOptions
from search.space.space import Space


def build(options: SearchOptions, space: Space) -> OptunaSampler:
    """Builds it."""
    return OptunaSampler(lambda seed, attempt: RandomSampler(seed=seed), options, space)
