"""CMA-ES, Optuna's."""

from optuna.samplers import BaseSampler, CmaEsSampler

from configs.errors import ConfigError
from search.engine.samplers.optuna_sampler import OptunaSampler
from search.space.options import SearchOptions
from search.space.space import Space


def build(options: SearchOptions, space: Space) -> OptunaSampler:
    """Builds it.

    Raises:
        ConfigError: its package is not installed.
    """

    def make(seed: int, attempt: int) -> BaseSampler:
        try:
            import cmaes  # noqa: F401  Optuna imports it when it samples, long after the search has begun
        except ImportError:
            raise ConfigError("sampler cmaes needs an extra package: pip install 'yacstune[cmaes]'") from None
        return CmaEsSampler(**options.sampler_options, seed=seed, warn_independent_sampling=False)

    return OptunaSampler(make, options, space)
