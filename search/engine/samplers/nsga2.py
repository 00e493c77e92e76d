"""NSGA-II, Optuna's."""

from optuna.samplers import NSGAIISampler

from search.engine.samplers.optuna_sampler import OptunaSampler
from search.space.options import SearchOptions
from search.space.space import Space


def build(options: SearchOptions, space: Space) -> OptunaSampler:
    """Builds it."""
    return OptunaSampler(lambda seed, attempt: NSGAIISampler(**options.sampler_options, seed=seed), options, space)
