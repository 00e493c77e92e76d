"""TPE, Optuna's."""

from optuna.samplers import TPESampler

from search.engine.samplers.optuna_sampler import OptunaSampler
from search.space.options import SearchOptions
from search.space.space import Space


def build(options: SearchOptions, space: Space) -> OptunaSampler:
    """Builds it."""
    chosen = options.sampler_options
    return OptunaSampler(
        lambda seed: TPESampler(**chosen, seed=seed),
        options,
        space,
        sees_running=chosen["constant_liar"],
        takes_incomplete=not chosen["multivariate"],
    )
