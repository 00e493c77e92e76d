"""A sequence of points that fills the unit cube evenly, SciPy's; each parameter has a dimension of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import qmc

from search.engine.samplers.sampler import KnownTrial, Sample
from search.space.options import SearchOptions
from search.space.space import Space

INDEX = "qmc_index"  # the note of a sample: its place in the sequence


class SequenceSampler:
    """Proposes the next point of the sequence that no trial has had.

    Args:
        options: seed, type of the sequence and whether it is scrambled.
        space: what is sampled.
    """

    takes_incomplete = False

    def __init__(self, options: SearchOptions, space: Space):
        self._options = options
        self._space = space

    def propose(self, trials: Sequence[KnownTrial], given: Mapping[str, Any], number: int, attempt: int) -> Sample:
        used = [trial.record.notes[INDEX] for trial in trials if INDEX in trial.record.notes]
        index = max(used, default=-1) + 1 + attempt
        chosen = self._options.sampler_options
        engine = qmc.Sobol if chosen["qmc_type"] == "sobol" else qmc.Halton
        sequence = engine(len(self._space.parameters), scramble=chosen["scramble"], rng=self._options.seed)
        if index:
            sequence.fast_forward(index)
        names = [parameter.name for parameter in self._space.parameters]
        places = dict(zip(names, sequence.random(1)[0], strict=True))
        point = self._space.point(
            lambda parameter: given.get(parameter.name, parameter.distribution.quantile(float(places[parameter.name])))
        )
        return Sample(point, {INDEX: index})


def build(options: SearchOptions, space: Space) -> SequenceSampler:
    """Builds it."""
    return SequenceSampler(options, space)
