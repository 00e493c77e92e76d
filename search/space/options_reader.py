"""Reads the `search:` part of a space file into options, and says what is wrong with it."""

from dataclasses import dataclass
from typing import Any

from configs.errors import Problems, did_you_mean
from configs.metric_names import CONSTANT_METRICS, METRICS
from configs.yaml_file import YamlMap
from search.space.options import LARGEST_GRID, NamedOptions, SearchOptions
from search.space.words import AUTO, WORDS
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS


@dataclass(frozen=True)
class Given:
    """What stands behind a word of `search:`.

    Attributes:
        value: as read and checked.
        source: where it is written, for messages.
    """

    value: Any
    source: str


def read_options(mapping: YamlMap, problems: Problems) -> dict[str, Given]:
    """Reads the `search:` mapping of one file; adds what is wrong to `problems`."""
    read: dict[str, Given] = {}
    for word, value in mapping.items():
        where = mapping.where(word)
        if word not in WORDS:
            problems.add(
                source=where, message=f"unknown word {word!r}.{did_you_mean(word, WORDS)} Known: {', '.join(WORDS)}"
            )
        elif value is None and WORDS[word].may_be_null:  # undoes what the file that is extended says
            read[word] = Given(getattr(SearchOptions, word), where)
        else:
            found = WORDS[word].read(value, where, problems)
            read |= {name: Given(one, where) for name, one in found.items()}
    return read


def inherit_options(inherited: dict[str, Given], own: dict[str, Given]) -> dict[str, Given]:
    """Returns the words of a file and of the one that it extends, without those that its own contradict."""
    kept = dict(inherited)
    goal = ("metric", "mode", "objectives")
    if any(word in own for word in goal):
        kept = {word: value for word, value in kept.items() if word not in goal}
    if "scheduler" in own and SCHEDULERS[own["scheduler"].value.name].is_population:
        kept.pop("sampler", None)
    return kept | own


def build_options(words: dict[str, Given], problems: Problems) -> SearchOptions:
    """Returns the options of words from `read_options`, those of files that are extended included.

    Args:
        words: as read.
        problems: what is wrong is added here.
    """
    given = {word: one.value for word, one in words.items()}
    sources = {word: one.source for word, one in words.items()}
    mode = given.pop("mode", None)
    metric = given.get("metric", SearchOptions.metric)
    objectives = given.pop("objectives", None)
    if objectives:
        problems += [
            f"{sources[word]}: objectives stands in place of {word}; remove one of them"
            for word in ("metric", "mode")
            if word in sources
        ]
        given["metric"], given["others"] = objectives[0], tuple(objectives[1:])
        sources["metric"] = sources["objectives"]
    elif mode not in (None, METRICS[metric]):
        problems.add(
            f"{sources['mode']}: mode: found {mode!r}, but {metric} is better the "
            f"{'higher' if METRICS[metric] == 'max' else 'lower'} it is: mode is {METRICS[metric]}"
        )
    scheduler = given.get("scheduler", SearchOptions.scheduler).name
    if SCHEDULERS[scheduler].is_population:
        if "sampler" in given:
            problems.add(f"{sources['sampler']}: scheduler {scheduler} brings its own sampler; remove the word sampler")
        given["sampler"] = NamedOptions("random", {})
    elif SAMPLERS[given.get("sampler", SearchOptions.sampler).name].tries_all:
        given.setdefault("num_samples", LARGEST_GRID)
    given.setdefault("reference", True)
    given.setdefault("kinds", None)
    if not given.get("others"):
        given.setdefault("confirm", AUTO)
    options = SearchOptions(**given, sources=sources)
    problems += _contradictions(options)
    return options


def _contradictions(options: SearchOptions) -> Problems:
    """Returns which options do not go together."""
    problems = Problems()
    where = options.sources
    sampler, scheduler = options.sampler.name, options.scheduler.name
    is_population = options.scheduler_spec.is_population
    if options.sampler_spec.needs_whole_trainings and options.scheduler_spec.compares_epochs:
        problems.add(
            f"{where['sampler']}: sampler {sampler} compares the configs of a generation, which {scheduler} would "
            "train for different numbers of epochs; use scheduler: none, or sampler: tpe"
        )
    if not options.sampler_spec.has_objectives and options.others:
        several = [spec.name for spec in SAMPLERS.values() if spec.has_objectives and spec.learns_from != "nothing"]
        problems.add(
            f"{where['sampler']}: sampler {sampler} has one objective; use {', '.join(several[:-1])} or {several[-1]} "
            "for several"
        )
    if options.metric in CONSTANT_METRICS:
        problems.add(
            f"{where['metric']}: {options.metric} is the same in every epoch, and trials are compared by their epochs; "
            "put it behind a metric of the training: objectives: {val_score: max, "
            f"{options.metric}: {METRICS[options.metric]}}}"
        )
    if options.sampler.options.get("group") and not options.sampler.options.get("multivariate"):
        problems.add(f"{where['sampler']}: sampler {sampler}: group: true needs multivariate: true")
    if options.start and options.sampler_spec.tries_all:
        problems.add(
            f"{where['start']}: start has no effect with sampler {sampler}, which tries all combinations in any case; "
            "remove it"
        )
    if options.kinds and options.scheduler_spec.compares_epochs and not options.can_have_kinds:
        problems.add(
            f"kinds: {options.scheduler_title} compares all trials with one another; use asha (type: promotion), "
            "hyperband or median, or remove kinds",
            source=where["kinds"],
        )
    if options.stop.patience and is_population:
        problems.add(
            f"{where['stop']}: stop: patience counts trials that have ended, and a population ends together; "
            f"{scheduler} has none"
        )
    if options.others and is_population:
        problems.add(
            f"{where['scheduler']}: scheduler {scheduler} has one objective; use asha or hyperband for several"
        )
    if options.others and options.confirm and "confirm" in where:
        problems.add(
            f"{where['confirm']}: confirm compares by one metric; with several objectives, retrain points of the front "
            "instead"
        )
    return problems
