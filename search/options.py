"""The `search:` part of a space file: what is optimised, how much, and by which sampler and scheduler."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from configs.errors import did_you_mean
from configs.legal import Bool, Float, Int, OneOf, Rule
from configs.metric_names import CONSTANT_METRICS, METRICS, OBJECTIVES
from configs.yaml_file import YamlMap

_PROBABILITY = Float(0, 1)

# name -> its options and their legal values
SAMPLERS: dict[str, dict[str, Rule]] = {
    "tpe": {
        "n_startup_trials": Int(0),
        "n_ei_candidates": Int(1),
        "multivariate": Bool(),
        "group": Bool(),
        "constant_liar": Bool(),
    },
    "gp": {"n_startup_trials": Int(1), "deterministic_objective": Bool()},
    "cmaes": {"n_startup_trials": Int(1), "sigma0": Float(0, above_low=True), "popsize": Int(3)},
    "random": {},
    "qmc": {"qmc_type": OneOf(("sobol", "halton")), "scramble": Bool()},
    "nsga2": {
        "population_size": Int(2),
        "mutation_prob": _PROBABILITY,
        "crossover_prob": _PROBABILITY,
        "swapping_prob": _PROBABILITY,
    },
    "grid": {},
}
_RUNGS: dict[str, Rule] = {"grace_period": Int(1), "reduction_factor": Float(1, above_low=True), "max_t": Int(1)}
SCHEDULERS: dict[str, dict[str, Rule]] = {
    "asha": {"type": OneOf(("promotion", "stopping")), **_RUNGS},
    "hyperband": _RUNGS,
    "pbt": {
        "perturbation_interval": Int(1),
        "quantile_fraction": Float(0, 0.5, above_low=True),
        "resample_probability": _PROBABILITY,
    },
    "pb2": {"perturbation_interval": Int(1), "quantile_fraction": Float(0, 0.5, above_low=True)},
    "median": {"grace_period": Int(1), "min_samples_required": Int(1)},
    "none": {},
}

POPULATIONS = ("pbt", "pb2")  # schedulers that train a population
LARGEST_GRID = 10_000

CPUS, GPUS = Float(0.1, 1024), Float(0, 1)  # of one trial; a training uses one GPU at most

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class NamedOptions:
    """A sampler or scheduler by name, with the options that were given for it."""

    name: str
    options: dict[str, Any]

    def to_yaml(self) -> Any:
        """Returns it as a space file writes it."""
        return {self.name: self.options} if self.options else self.name


@dataclass(frozen=True)
class Given:
    """What stands behind a word of `search:`.

    Attributes:
        value: as read and checked.
        source: where it is written, for messages.
    """

    value: Any
    source: str


@dataclass(frozen=True)
class StopRules:
    """What ends a search before all samples are made.

    Attributes:
        target: of the metric.
        patience: how many trials may end one after the other without a better one.
    """

    target: float | None = None
    patience: int | None = None


@dataclass(frozen=True)
class Confirm:
    """Repeats that tell luck from merit.

    Attributes:
        top: how many of the best configs are trained again, to their last epoch.
        seeds: how often each, with other seeds.
    """

    top: int
    seeds: int


@dataclass(frozen=True)
class StartPoint:
    """A config to begin with.

    Attributes:
        values: by key, those not given are sampled; None: the default of every key.
        source: where it is written, for messages.
    """

    values: dict[str, Any] | None
    source: str

    def to_yaml(self) -> Any:
        """Returns it as a space file writes it."""
        return "defaults" if self.values is None else self.values


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        metric: what is optimised, see configs/metric_names.py; of several objectives the first, by which trials are
            stopped early.
        others: the other objectives.
        num_samples: how many trials are made.
        time_budget: seconds after which the search ends; None: no limit.
        seed: of the sampler.
        sampler: which sampler.
        scheduler: which scheduler stops trials early.
        cpus_per_trial: CPU cores of one trial.
        gpus_per_trial: GPUs of one trial; a fraction shares a GPU.
        stop: what ends the search early.
        start: configs to begin with.
        confirm: how the best are trained again; None: not.
        max_failures: how often a trial is tried again after a fault of its surroundings: a worker that died, a full
            memory, a disk. What raises by itself would raise again, and is not tried again.
        trial_timeout: seconds that a trial may take to report an epoch; None: no limit.
        sources: where the words of the space file are written, for messages.
    """

    metric: str = "val_score"
    others: tuple[str, ...] = ()
    num_samples: int = 20
    time_budget: float | None = None
    seed: int = 0
    sampler: NamedOptions = NamedOptions("tpe", {})
    scheduler: NamedOptions = NamedOptions("asha", {})
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    stop: StopRules = StopRules()
    start: tuple[StartPoint, ...] = ()
    confirm: Confirm | None = None
    max_failures: int = 2
    trial_timeout: float | None = None
    sources: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def mode(self) -> str:
        """Whether the metric is to be `min` or `max`."""
        return str(METRICS[self.metric])

    @property
    def objectives(self) -> tuple[str, ...]:
        """All objectives, the one that the scheduler follows first."""
        return (self.metric, *self.others)

    def science(self) -> dict[str, Any]:
        """Returns what decides which trials a search makes, as YAML; the rest only says how many and where."""
        return {
            "metric": list(self.objectives) if self.others else self.metric,
            "seed": self.seed,
            "sampler": self.sampler.to_yaml(),
            "scheduler": self.scheduler.to_yaml(),
        }

    def to_yaml(self) -> dict[str, Any]:
        """Returns the options as a space file writes them."""
        goal = (
            {"objectives": {name: METRICS[name] for name in self.objectives}}
            if self.others
            else {"metric": self.metric, "mode": self.mode}
        )
        stop = {word: value for word, value in vars(self.stop).items() if value is not None}
        return {
            **goal,
            "num_samples": self.num_samples,
            **({"time_budget": self.time_budget} if self.time_budget else {}),
            "seed": self.seed,
            **({} if self.scheduler.name in POPULATIONS else {"sampler": self.sampler.to_yaml()}),
            "scheduler": self.scheduler.to_yaml(),
            "resources": {"cpu": self.cpus_per_trial, "gpu": self.gpus_per_trial},
            "max_failures": self.max_failures,
            **({"trial_timeout": self.trial_timeout} if self.trial_timeout else {}),
            **({"stop": stop} if stop else {}),
            **({"start": [point.to_yaml() for point in self.start]} if self.start else {}),
            **({"confirm": vars(self.confirm)} if self.confirm else {}),
        }


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
                hint = str(error).strip()
                if not hint.startswith("Did you mean"):
                    hint = f"({hint})" if hint and isinstance(value, dict) else ""
                problems.append(f"{where}: {word}: found {value!r}, allowed is {allowed}.{f' {hint}' if hint else ''}")
    return read


def inherit_options(inherited: dict[str, Given], own: dict[str, Given]) -> dict[str, Given]:
    """Returns the words of a file and of the one that it extends, without those that its own contradict."""
    kept = dict(inherited)
    goal = ("metric", "mode", "objectives")
    if any(word in own for word in goal):
        kept = {word: value for word, value in kept.items() if word not in goal}
    if "scheduler" in own and own["scheduler"].value.name in POPULATIONS:
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
    if scheduler in POPULATIONS:
        if "sampler" in given:
            problems.append(
                f"{sources['sampler']}: scheduler {scheduler} brings its own sampler; remove the word sampler"
            )
        given["sampler"] = NamedOptions("random", {})
    elif given.get("sampler", SearchOptions.sampler).name == "grid":
        given.setdefault("num_samples", LARGEST_GRID)
    options = SearchOptions(**given, sources=sources)
    problems += _contradictions(options)
    return options


def _contradictions(options: SearchOptions) -> list[str]:
    """Returns which options do not go together."""
    problems = []
    where = options.sources
    sampler, scheduler = options.sampler.name, options.scheduler.name
    if sampler == "cmaes" and scheduler != "none":
        problems.append(
            f"{where['sampler']}: sampler cmaes compares the configs of a generation, which {scheduler} would train "
            "for different numbers of epochs; use scheduler: none, or sampler: tpe"
        )
    if sampler == "cmaes" and options.others:
        problems.append(f"{where['sampler']}: sampler cmaes has one objective; use tpe, nsga2 or gp for several")
    if options.metric in CONSTANT_METRICS:
        problems.append(
            f"{where['metric']}: {options.metric} is the same in every epoch, and trials are compared by their epochs; "
            "put it behind a metric of the training: objectives: {val_score: max, "
            f"{options.metric}: {METRICS[options.metric]}}}"
        )
    if options.sampler.options.get("group") and not options.sampler.options.get("multivariate"):
        problems.append(f"{where['sampler']}: sampler tpe: group: true needs multivariate: true")
    if options.start and sampler == "grid":
        problems.append(
            f"{where['start']}: start says nothing with sampler grid, which tries all combinations in any case; remove "
            "it"
        )
    if options.stop.patience and scheduler in POPULATIONS:
        problems.append(
            f"{where['stop']}: stop: patience counts trials that have ended, and a population ends together; "
            f"{scheduler} has none"
        )
    if options.others and scheduler in POPULATIONS:
        problems.append(
            f"{where['scheduler']}: scheduler {scheduler} has one objective; use asha or hyperband for several"
        )
    if options.others and options.confirm:
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
    numbers = _numbers(value, where, "confirm", {"top": Int(1), "seeds": Int(2)}, problems)
    return {"confirm": Confirm(numbers.get("top", 3), numbers.get("seeds", 5))}


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


def _choice_reader(known: dict[str, dict[str, Rule]]) -> Callable[[Any], NamedOptions]:
    def read(value: Any) -> NamedOptions:
        name: Any = value
        options: Any = {}
        if isinstance(value, dict) and len(value) == 1:
            ((name, options),) = value.items()
        if not isinstance(name, str) or name not in known:
            raise ValueError(did_you_mean(str(name), known))
        if not isinstance(options, dict):
            raise ValueError(f"options are written as {{{name}: {{option: value}}}}")
        checked = {}
        for word, option in options.items():
            if word not in known[name]:
                raise ValueError(
                    f"{name} has no option {word!r}.{did_you_mean(word, known[name])} "
                    f"It has {', '.join(known[name]) or 'none'}"
                )
            try:
                checked[word] = known[name][word].read(option)
            except ValueError:
                raise ValueError(f"{word}: found {option!r}, allowed is {known[name][word].allowed}") from None
        return NamedOptions(name, checked)

    return read


def _described(known: dict[str, dict[str, Rule]]) -> str:
    return f"one of {', '.join(known)}, or {{name: {{option: value}}}}"


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "metric": (OneOf(OBJECTIVES).read, OneOf(OBJECTIVES).allowed),
    "mode": (OneOf(("min", "max")).read, OneOf(("min", "max")).allowed),
    "num_samples": (Int(1).read, Int(1).allowed),
    "time_budget": (read_duration, "a time above 0 as in 90s, 30m, 1h30m"),
    "max_failures": (Int(0).read, Int(0).allowed),
    "trial_timeout": (read_duration, "a time above 0 as in 90s, 30m, 1h30m"),
    "seed": (Int(0, 2**31 - 1).read, Int(0, 2**31 - 1).allowed),
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
}
