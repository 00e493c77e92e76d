"""TPE, Optuna's.

Each value is the best of many candidates, so that samples which are asked for before others have reported are nearly
the same. A further attempt at a sample compares half as many, and the last ones take what comes.
"""

from optuna.samplers import TPESampler

from search.engine.samplers.optuna_sampler import OptunaSampler
from search.space.options import SearchOptions
from search.space.space import Space


def build(options: SearchOptions, space: Space) -> OptunaSampler:
    """Builds it."""
    chosen = options.sampler_options

    def make(seed: int, attempt: int) -> TPESampler:
        candidates = max(1, chosen["n_ei_candidates"] >> attempt)
        return TPESampler(**chosen | {"n_ei_candidates": candidates}, seed=seed)

    return OptunaSampler(
        make,
        options,
        space,
        sees_running=chosen["constant_liar"],
        takes_incomplete=not chosen["multivariate"],
    )
