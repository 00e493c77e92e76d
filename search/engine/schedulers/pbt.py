"""Population based training."""

from search.engine.schedulers.population import Population
from search.engine.schedulers.scheduler import Scheduler, Setup


def build(setup: Setup) -> Scheduler:
    """Builds it."""
    return Population(setup, resample=setup.options.scheduler_options["resample_probability"])
