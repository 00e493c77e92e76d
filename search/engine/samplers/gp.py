"""A Gaussian process, Optuna's."""

from optuna.samplers import GPSampler

from search.engine.samplers.optuna_sampler import OptunaSampler
from search.space.options import SearchOptions
from search.space.space import Space


def build(options: SearchOptions, space: Space) -> OptunaSampler:
    """Builds it."""
    chosen = options.sampler_options
    return OptunaSampler(
        lambda seed, attempt: GPSampler(**chosen, seed=seed, warn_independent_sampling=False),
        options,
        space,
        sees_running=True,
    )
