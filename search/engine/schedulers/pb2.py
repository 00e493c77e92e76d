"""PB2: a population whose values a Gaussian process chooses."""

from search.engine.schedulers.population import Population
from search.engine.schedulers.scheduler import Scheduler, Setup
from search.specs.schedulers import SCHEDULERS


def build(setup: Setup) -> Scheduler:
    """Builds it."""
    return Population(setup, resample=SCHEDULERS["pbt"].defaults()["resample_probability"], is_bandit=True)
