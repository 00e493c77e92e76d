"""Reads the `search:` part of a space file into options, and says what is wrong with it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from configs.errors import did_you_mean
from configs.legal import Bool, Float, HintError, Int, OneOf, Rule
from configs.metric_names import CONSTANT_METRICS, METRICS, OBJECTIVES
from configs.yaml_file import YamlMap
from search.space.options import (
    CPUS,
    GPUS,
    LARGEST_GRID,
    Confirm,
    NamedOptions,
    SearchOptions,
    StartPoint,
    StopRules,
)
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS
from search.specs.spec import Spec

AUTO = Confirm(top=1, seeds=2, is_auto=True)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Given:
    """What stands behind a word of `search:`.

    Attributes:
        value: as read and checked.
        source: where it is written, for messages.
    """

    value: Any
    source: str


def read_duration(value: Any) -> float:
    """Reads seconds from `90`, `90s`, `30m`, `1h30m` or `2d`.

    Raises:
        ValueError: not a duration, or not a positive one.
    """
    if isinstance(value, str) and re.fullmatch(r"(\d+(\.\d+)?[smhd])+", value):
        seconds = sum(float(n) * _UNITS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)([smhd])", value))
    else:
        seconds = Float().read(value)
    if seconds <= 0:
        raise ValueError("not positive")
    return seconds


def read_options(mapping: YamlMap, problems: list[str]) -> dict[str, Given]:
    """Reads the `search:` mapping of one file; adds what is wrong to `problems`."""
    read: dict[str, Given] = {}
    for word, value in mapping.items():
        where = mapping.where(word)
        if word in MAY_BE_NULL and value is None:  # undoes what the file that is extended says
            read[word] = Given(getattr(SearchOptions, word), where)
        elif word in _PARTS:
            read |= {part: Given(one, where) for part, one in _PARTS[word](value, where, problems).items()}
        elif word not in _READERS:
            known = (*_READERS, *_PARTS)
            problems.append(f"{where}: unknown word {word!r}.{did_you_mean(word, known)} Known: {', '.join(known)}")
        else:
            reader, allowed = _READERS[word]
            try:
                read[word] = Given(reader(value), where)
            except (ValueError, OverflowError) as error:
                hint = f" {error}" if isinstance(error, HintError) and str(error) else ""
                problems.append(f"{where}: {word}: found {value!r}, allowed is {allowed}.{hint}")
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


def build_options(words: dict[str, Given], problems: list[str]) -> SearchOptions:
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
        problems.append(
            f"{sources['mode']}: mode: found {mode!r}, but {metric} is better the "
            f"{'higher' if METRICS[metric] == 'max' else 'lower'} it is: mode is {METRICS[metric]}"
        )
    scheduler = given.get("scheduler", SearchOptions.scheduler).name
    if SCHEDULERS[scheduler].is_population:
        if "sampler" in given:
            problems.append(
                f"{sources['sampler']}: scheduler {scheduler} brings its own sampler; remove the word sampler"
            )
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


def _contradictions(options: SearchOptions) -> list[str]:
    """Returns which options do not go together."""
    problems = []
    where = options.sources
    sampler, scheduler = options.sampler.name, options.scheduler.name
    is_population = options.scheduler_spec.is_population
    if options.sampler_spec.needs_whole_trainings and options.scheduler_spec.compares_epochs:
        problems.append(
            f"{where['sampler']}: sampler {sampler} compares the configs of a generation, which {scheduler} would "
            "train for different numbers of epochs; use scheduler: none, or sampler: tpe"
        )
    if not options.sampler_spec.has_objectives and options.others:
        several = [spec.name for spec in SAMPLERS.values() if spec.has_objectives and spec.learns_from != "nothing"]
        problems.append(
            f"{where['sampler']}: sampler {sampler} has one objective; use {', '.join(several[:-1])} or {several[-1]} "
            "for several"
        )
    if options.metric in CONSTANT_METRICS:
        problems.append(
            f"{where['metric']}: {options.metric} is the same in every epoch, and trials are compared by their epochs; "
            "put it behind a metric of the training: objectives: {val_score: max, "
            f"{options.metric}: {METRICS[options.metric]}}}"
        )
    if options.sampler.options.get("group") and not options.sampler.options.get("multivariate"):
        problems.append(f"{where['sampler']}: sampler tpe: group: true needs multivariate: true")
    if options.start and options.sampler_spec.tries_all:
        problems.append(
            f"{where['start']}: start has no effect with sampler {sampler}, which tries all combinations in any case; "
            "remove it"
        )
    if options.kinds and options.scheduler_spec.compares_epochs and not options.can_have_kinds:
        what = f"{scheduler} with type: stopping" if scheduler == "asha" else scheduler
        problems.append(
            f"{where['kinds']}: kinds: {what} compares all trials with one another; use asha (type: promotion), "
            "hyperband or median, or remove kinds"
        )
    if options.stop.patience and is_population:
        problems.append(
            f"{where['stop']}: stop: patience counts trials that have ended, and a population ends together; "
            f"{scheduler} has none"
        )
    if options.others and is_population:
        problems.append(
            f"{where['scheduler']}: scheduler {scheduler} has one objective; use asha or hyperband for several"
        )
    if options.others and options.confirm and "confirm" in where:
        problems.append(
            f"{where['confirm']}: confirm compares by one metric; with several objectives, retrain points of the front "
            "instead"
        )
    return problems


def _read_objectives(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        problems.append(f"{where}: objectives: found {value!r}, expected {{metric: min or max, ...}}")
        return {}
    for name, mode in value.items():
        if name not in OBJECTIVES:
            problems.append(
                f"{where}: objectives: unknown metric {name!r}.{did_you_mean(name, OBJECTIVES)} "
                f"Known: {', '.join(OBJECTIVES)}"
            )
        elif mode != METRICS[name]:
            problems.append(
                f"{where}: objectives: {name}: found {mode!r}, but it is better the other way: {METRICS[name]}"
            )
    known = [name for name in value if name in OBJECTIVES]
    return {"objectives": known} if known else {}


def _read_stop(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    return {"stop": StopRules(**_numbers(value, where, "stop", {"target": Float(), "patience": Int(1)}, problems))}


def _read_confirm(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    if value == "auto" or value is False:
        return {"confirm": AUTO if value else None}
    if not isinstance(value, dict):
        problems.append(f"{where}: confirm: found {value!r}, allowed is auto, false or {{top: number, seeds: number}}")
        return {}
    numbers = _numbers(value, where, "confirm", {"top": Int(1), "seeds": Int(2)}, problems)
    return {"confirm": Confirm(numbers.get("top", 3), numbers.get("seeds", 5))}


def _read_kinds(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    if value == "auto" or value is False:
        return {"kinds": None if value else ()}
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value) or len({*value}) < len(value):
        problems.append(f"{where}: kinds: found {value!r}, allowed is auto, false or a list of different keys")
        return {}
    return {"kinds": tuple(value)}


def _numbers(value: Any, where: str, word: str, rules: dict[str, Rule], problems: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(value) <= set(rules):
        hints = (
            {did_you_mean(name, rules): None for name in value if name not in rules} if isinstance(value, dict) else {}
        )
        problems.append(
            f"{where}: {word}: found {value!r}, allowed is {{{', '.join(f'{name}: number' for name in rules)}}}"
            f"{'.' if any(hints) else ''}{''.join(hints)}"
        )
        return {}
    read = {}
    for name, number in value.items():
        try:
            read[name] = rules[name].read(number)
        except (ValueError, OverflowError):
            problems.append(f"{where}: {word}: {name}: found {number!r}, allowed is {rules[name].allowed}")
    return read


def _read_start(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    points = []
    for number, point in enumerate(value if isinstance(value, list) else [value], start=1):
        if point == "defaults":
            points.append(StartPoint(None, f"{where}: start: point {number}"))
        elif isinstance(point, dict):
            points.append(StartPoint(dict(point), f"{where}: start: point {number}"))
        else:
            problems.append(f"{where}: start: point {number}: found {point!r}, expected `defaults` or {{KEY: value}}")
    return {"start": tuple(points)}


def _read_resources(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    numbers = _numbers(value, where, "resources", {"cpu": CPUS, "gpu": GPUS}, problems)
    return {f"{name}s_per_trial": number for name, number in numbers.items()}


def _choice_reader(known: Mapping[str, Spec]) -> Callable[[Any], NamedOptions]:
    def read(value: Any) -> NamedOptions:
        name: Any = value
        options: Any = {}
        if isinstance(value, dict) and len(value) == 1:
            ((name, options),) = value.items()
        if not isinstance(name, str) or name not in known:
            raise HintError(did_you_mean(str(name), known).strip())
        if not isinstance(options, dict):
            raise HintError(f"Options are written as {{{name}: {{option: value}}}}.")
        checked, legal = {}, known[name].options
        for word, option in options.items():
            if word not in legal:
                raise HintError(
                    f"{name} has no option {word!r}.{did_you_mean(word, legal)} It has {', '.join(legal) or 'none'}"
                )
            try:
                checked[word] = legal[word].rule.read(option)
            except ValueError:
                raise HintError(f"{word}: found {option!r}, allowed is {legal[word].rule.allowed}.") from None
        return NamedOptions(name, checked)

    return read


def _described(known: Mapping[str, Spec]) -> str:
    return f"one of {', '.join(known)}, or {{name: {{option: value}}}}"


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "metric": (OneOf(OBJECTIVES).read, OneOf(OBJECTIVES).allowed),
    "mode": (OneOf(("min", "max")).read, OneOf(("min", "max")).allowed),
    "num_samples": (Int(1).read, Int(1).allowed),
    "time_budget": (read_duration, "a time above 0 as in 90s, 30m, 1h30m"),
    "max_failures": (Int(0).read, Int(0).allowed),
    "trial_timeout": (read_duration, "a time above 0 as in 90s, 30m, 1h30m"),
    "seed": (Int(0, 2**31 - 1).read, Int(0, 2**31 - 1).allowed),
    "reference": (Bool().read, Bool().allowed),
    "sampler": (_choice_reader(SAMPLERS), _described(SAMPLERS)),
    "scheduler": (_choice_reader(SCHEDULERS), _described(SCHEDULERS)),
}


MAY_BE_NULL = ("time_budget", "trial_timeout", "stop", "start", "confirm")


# Words whose readers report what is wrong themselves.
_PARTS: dict[str, Callable[[Any, str, list[str]], dict[str, Any]]] = {
    "resources": _read_resources,
    "objectives": _read_objectives,
    "stop": _read_stop,
    "start": _read_start,
    "confirm": _read_confirm,
    "kinds": _read_kinds,
}
