"""Builds and tries everything once before a search starts, so that a mistake costs seconds and not trials."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from configs.defaults import KEYS
from configs.errors import ConfigError, Problem, Problems
from configs.legal import Part
from configs.tree import get_value
from configs.user_modules import import_user_modules
from search.engine.samplers.sampler import build_sampler
from search.plan import SearchPlan
from search.plan_checks import named_parts
from search.rungs_and_rate import note_on_peak
from search.space.distributions import Choice
from search.space.items import Constant, Parameter, is_branching
from search.space.space import Space
from trainable.rehearsal import rehearse, unknown_parts
from trainable.start_weights import hints

# They decide which processed data is needed, and what the model has to take.
FORM_OF_IMAGES = ("DATASET.RESIZE_SHAPE", "DATASET.CROP_TO_CONTENT", "DATASET.PAD_TO_SQUARE", "DATASET.TO_RGB")

PRETRAINED = "MODEL.BACKBONE.PRETRAINED"

RANDOM_SAMPLES = 50  # samples, to see whether values go together


def check_parts(plan: SearchPlan) -> None:
    """Builds and tries each part and each form of images that the plan names, once.

    Raises:
        ConfigError: with every mistake: a sampler whose package is missing, unknown parts, missing data, derived values
            that contradict, a user's part that raises.
    """
    build_sampler(plan.options, plan.space)
    import_user_modules(plan.base_cfg.USER_MODULES)
    _check_names(plan)
    problems: dict[Problem, list[dict[str, Any]]] = {}  # each with the samples that show it
    impossible = Problems()
    tried = 0
    tried_before: list[dict[str, Any]] = []
    for sample in _samples_naming_each_part(plan):
        if sample in tried_before:
            continue
        tried_before.append(sample)
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
                problems.setdefault(problem, []).append(sample)
    if problems or not tried:
        told = [_located(plan, problem, found[0], len(found) == tried) for problem, found in problems.items()]
        raise ConfigError(told or impossible)


def _check_names(plan: SearchPlan) -> None:
    """Raises ConfigError with all parts that do not exist, of the space and of the base."""
    named = named_parts(plan.space)
    in_space = {item.key for item in plan.space.items}
    named += [
        (plan.sources.get(key.name, "default"), key.name, get_value(plan.base_cfg, key.name))
        for key in KEYS.values()
        if isinstance(key.rule, Part) and key.name not in in_space
    ]
    unknown = unknown_parts((key, name) for _, key, name in named)
    if unknown:
        found = ((source, unknown[key, name]) for source, key, name in named if (key, name) in unknown)
        raise ConfigError(replace(problem, source=source) for source, problem in found)


def _located(plan: SearchPlan, problem: Problem, sample: dict[str, Any], is_always: bool) -> Problem:
    """Returns a problem with the place that it is about, and with a sample that shows it if others do not."""
    key = problem.key
    for item in plan.space.items:
        if item.key == key and key in sample:
            is_choice = isinstance(item, Parameter) and item.distribution.contains(sample[key])
            if is_choice or (isinstance(item, Constant) and item.value == sample[key]):
                return replace(problem, source=item.source)
    source = problem.source or ("" if key in sample else plan.sources.get(key, ""))
    shown = "" if is_always else f" (with {', '.join(f'{name} {value}' for name, value in sample.items())})"
    return replace(problem, source=source, hint=problem.hint + shown)


def notes_on(plan: SearchPlan) -> list[str]:
    """Returns what people should know of a plan whose parts can be built, and what could not be told without them."""
    on_peak = note_on_peak(plan)
    return [*contradictions(plan), *base_problems(plan), *([on_peak] if on_peak else []), *_hints(plan)]


def _hints(plan: SearchPlan) -> list[str]:
    """Returns what people should know about the weights that samples start from."""
    found: dict[str, None] = {}
    for sample in _samples_naming_each_part(plan):
        with suppress(ConfigError):  # samples that cannot be are told elsewhere
            found |= dict.fromkeys(hints(plan.sample_cfg(sample)))
    first, *others = [*found] or [""]
    alike = f" (so it is with {len(others)} more combinations of this space)" if others else ""
    return [first + alike] if first else []


def contradictions(plan: SearchPlan) -> list[str]:
    """Draws samples at random and returns a line for each way in which some of them contradict themselves.

    Values that are legal one by one may not go together; the search makes other samples in their place.
    """
    rng = np.random.default_rng(plan.options.seed)
    counts: Counter[str] = Counter()
    for _ in range(RANDOM_SAMPLES):
        counts.update(plan.space.problems(plan.space.random_point(rng)))
    return [
        f"{count} of {RANDOM_SAMPLES} random samples cannot be trained and are not made: {problem}"
        for problem, count in counts.items()
    ]


def base_problems(plan: SearchPlan) -> list[str]:
    """Returns why the base config, which need not be a sample, cannot be trained as the reference."""
    if not plan.options.reference:
        return []
    try:
        rehearse(plan.base_cfg)
    except ConfigError as error:
        return [
            f"the base config cannot be trained, so that nothing can be compared with it: {problem}; mend it, or leave "
            "it out with search: reference: false"
            for problem in error.problems
        ]
    return []


def _samples_naming_each_part(plan: SearchPlan) -> Iterator[dict[str, Any]]:
    """The settings of a sample of all first values, then of one for each further part, branch or form of images."""

    def first(parameter: Parameter) -> Any:
        return parameter.distribution.probes()[0]

    samples = [plan.space.point(first).settings]
    for decisive in plan.space.parameters:
        is_part = decisive.key in KEYS and isinstance(KEYS[decisive.key].rule, Part)
        if isinstance(decisive.distribution, Choice) and (
            is_part or is_branching(decisive) or decisive.key in FORM_OF_IMAGES
        ):
            for value in decisive.distribution.values()[1:]:
                samples.append(_settings_with(plan.space, decisive, value))
    sampled = (one for one in plan.space.parameters if one.key == PRETRAINED)
    may_be_pretrained = any(one.distribution.contains(True) for one in sampled)
    for sample in samples:
        yield sample
        if PRETRAINED in sample and may_be_pretrained:  # each backbone with its weights, which are fetched now
            yield {**sample, PRETRAINED: True}


def _settings_with(space: Space, decisive: Parameter, value: Any) -> dict[str, Any]:
    """Returns the settings of a sample of first values in which a parameter is active and has a value."""
    needed = {condition.key: condition.values[0] for condition in decisive.conditions} | {decisive.key: value}

    def choose(parameter: Parameter) -> Any:
        wanted = needed.get(parameter.key)
        is_possible = parameter.key in needed and parameter.distribution.contains(wanted)
        return wanted if is_possible else parameter.distribution.probes()[0]

    return space.point(choose).settings
