"""Builds and tries everything once before a search starts, so that a mistake costs seconds and not trials."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from configs.defaults import KEYS
from configs.errors import ConfigError
from configs.legal import Part
from search.distributions import Choice
from search.history import History
from search.options import NamedOptions
from search.plan import SearchPlan
from search.searcher import TruthfulOptunaSearch
from trainable.rehearsal import rehearse

# They decide which processed data is needed, and what the model has to take.
FORM_OF_IMAGES = (*("DATASET.RESIZE_SHAPE", "DATASET.CROP_TO_CONTENT", "DATASET.PAD_TO_SQUARE", "DATASET.TO_RGB"),)

DRAWN = 50  # samples, to see whether values go together


def check_parts(plan: SearchPlan) -> None:
    """Builds and tries each part and each form of images that the plan names, once.

    Raises:
        ConfigError: with every mistake: unknown parts, missing data, derived values that contradict, a user's part that
            raises.
    """
    problems: dict[str, str] = {}  # each with the first sample that shows it
    impossible: list[str] = []
    tried = 0
    for sample in _samples_naming_each_part(plan):
        try:
            cfg = plan.sample_cfg(sample)
        except ConfigError as error:  # values that are legal one by one; other samples may do
            impossible += error.problems
            continue
        tried += 1
        try:
            rehearse(cfg)
        except ConfigError as error:
            for problem in error.problems:
                problems.setdefault(problem, ", ".join(f"{key} {value}" for key, value in sample.items()))
    if problems or not tried:
        raise ConfigError([f"{problem} (with {sample})" for problem, sample in problems.items()] or impossible)


def contradictions(plan: SearchPlan) -> list[str]:
    """Draws samples at random and returns a line for each way in which some of them contradict themselves.

    Values that are legal one by one may not go together; such trials fail.
    """
    options = replace(plan.options, sampler=NamedOptions("random", {}), num_samples=DRAWN)
    searcher = TruthfulOptunaSearch(plan.parameters, options, History(), slots=DRAWN)
    counts: Counter[str] = Counter()
    for number in range(DRAWN):
        drawn = searcher.suggest(str(number))
        assert isinstance(drawn, dict)  # there is room for all of them
        try:
            plan.sample_cfg(drawn["params"])
        except ConfigError as error:
            counts.update(error.problems)
    return [f"{count} of {DRAWN} samples drawn at random would fail: {problem}" for problem, count in counts.items()]


def _samples_naming_each_part(plan: SearchPlan) -> Iterator[dict[str, Any]]:
    """A sample of all first values, then one more for each further name of a part or form of images."""
    first = {key: parameter.distribution.probes()[0] for key, parameter in plan.parameters.items()}
    yield first
    for key, parameter in plan.parameters.items():
        decides = isinstance(KEYS[key].rule, Part) or key in FORM_OF_IMAGES
        if decides and isinstance(parameter.distribution, Choice):
            for name in parameter.distribution.values[1:]:
                yield first | {key: name}
