"""The `search:` part of a space file: what is optimised, how much, and by which sampler and scheduler."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from configs.errors import did_you_mean
from configs.legal import Bool, Float, Int, OneOf, Rule
from configs.metric_names import METRICS, OBJECTIVES
from configs.yaml_file import YamlMap

# name -> its options and their legal values
SAMPLERS: dict[str, dict[str, Rule]] = {
    "tpe": {
        "n_startup_trials": Int(0),
        "n_ei_candidates": Int(1),
        "multivariate": Bool(),
        "constant_liar": Bool(),
    },
    "random": {},
}
SCHEDULERS: dict[str, dict[str, Rule]] = {
    "asha": {
        "type": OneOf(("promotion", "stopping")),
        "grace_period": Int(1),
        "reduction_factor": Float(1, above_low=True),
    },
    "none": {},
}

# Words that this version does not know yet, so that they are not taken for typing errors.
NOT_YET = ("objectives", "stop", "start", "confirm")

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
class SearchOptions:
    """How to search.

    Attributes:
        metric: what is optimised, see configs/metric_names.py.
        num_samples: how many trials are made.
        time_budget: seconds after which the search ends; None: no limit.
        seed: of the sampler.
        sampler: which sampler.
        scheduler: which scheduler stops trials early.
        cpus_per_trial: CPU cores of one trial.
        gpus_per_trial: GPUs of one trial; a fraction shares a GPU.
    """

    metric: str = "val_score"
    num_samples: int = 20
    time_budget: float | None = None
    seed: int = 0
    sampler: NamedOptions = NamedOptions("tpe", {})
    scheduler: NamedOptions = NamedOptions("asha", {})
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0

    @property
    def mode(self) -> str:
        """Whether the metric is to be `min` or `max`."""
        return str(METRICS[self.metric])

    def science(self) -> tuple[Any, ...]:
        """Returns what decides which trials a search makes; the rest only says how many and where."""
        return self.metric, self.seed, self.sampler, self.scheduler

    def to_yaml(self) -> dict[str, Any]:
        """Returns the options as a space file writes them."""
        return {
            "metric": self.metric,
            "mode": self.mode,
            "num_samples": self.num_samples,
            **({"time_budget": self.time_budget} if self.time_budget else {}),
            "seed": self.seed,
            "sampler": self.sampler.to_yaml(),
            "scheduler": self.scheduler.to_yaml(),
            "resources": {"cpu": self.cpus_per_trial, "gpu": self.gpus_per_trial},
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


def read_options(mapping: YamlMap, problems: list[str]) -> SearchOptions:
    """Reads the `search:` mapping; adds what is wrong to `problems`."""
    read: dict[str, Any] = {}
    for word, value in mapping.items():
        where = mapping.where(word)
        if word in NOT_YET:
            problems.append(f"{where}: {word!r} is not supported by this version")
        elif word == "mode":
            _check_mode(mapping, problems)
        elif word == "resources":
            read |= _read_resources(value, where, problems)
        elif word not in _READERS:
            known = (*_READERS, "mode", "resources")
            problems.append(f"{where}: unknown word {word!r}.{did_you_mean(word, known)} Known: {', '.join(known)}")
        else:
            reader, allowed = _READERS[word]
            try:
                read[word] = reader(value)
            except (ValueError, OverflowError) as error:
                text = str(error).strip()
                hint = (
                    f" {text}" if text.startswith("Did you mean") else f" ({text})" if isinstance(value, dict) else ""
                )
                problems.append(f"{where}: {word}: found {value!r}, allowed is {allowed}.{hint}")
    return SearchOptions(**read)


def _check_mode(mapping: YamlMap, problems: list[str]) -> None:
    metric = mapping.get("metric", SearchOptions.metric)
    if metric in OBJECTIVES and mapping["mode"] != METRICS[metric]:
        problems.append(
            f"{mapping.where('mode')}: mode: found {mapping['mode']!r}, but {metric} is better the "
            f"{'higher' if METRICS[metric] == 'max' else 'lower'} it is: mode is {METRICS[metric]}"
        )


def _read_resources(value: Any, where: str, problems: list[str]) -> dict[str, float]:
    rules = {"cpu": CPUS, "gpu": GPUS}
    if not isinstance(value, dict) or not set(value) <= set(rules):
        problems.append(f"{where}: resources: found {value!r}, allowed is {{cpu: number, gpu: number}} for one trial")
        return {}
    read = {}
    for word, number in value.items():
        try:
            read[f"{word}s_per_trial"] = rules[word].read(number)
        except (ValueError, OverflowError):
            problems.append(f"{where}: resources: {word}: found {number!r}, allowed is {rules[word].allowed}")
    return read


def _choice_reader(known: dict[str, dict[str, Rule]]) -> Callable[[Any], NamedOptions]:
    def read(value: Any) -> NamedOptions:
        name: Any = value
        options: Any = None
        if isinstance(value, dict) and len(value) == 1:
            ((name, options),) = value.items()
        if not isinstance(name, str) or name not in known:
            raise ValueError(did_you_mean(str(name), known))
        if options is not None and not isinstance(options, dict):
            raise ValueError(f"options are written as {{{name}: {{option: value}}}}")
        checked = {}
        for word, option in (options or {}).items():
            if word not in known[name]:
                raise ValueError(f"{name} has no option {word!r}.{did_you_mean(word, known[name])}")
            try:
                checked[word] = known[name][word].read(option)
            except ValueError:
                raise ValueError(f"{word}: found {option!r}, allowed is {known[name][word].allowed}") from None
        return NamedOptions(name, checked)

    return read


def _described(known: dict[str, dict[str, Rule]]) -> str:
    return " or ".join(f"{name} with options {', '.join(rules)}" if rules else name for name, rules in known.items())


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "metric": (OneOf(OBJECTIVES).read, OneOf(OBJECTIVES).allowed),
    "num_samples": (Int(1).read, Int(1).allowed),
    "time_budget": (read_duration, "a time above 0 as in 90s, 30m, 1h30m"),
    "seed": (Int(0, 2**31 - 1).read, Int(0, 2**31 - 1).allowed),
    "sampler": (_choice_reader(SAMPLERS), _described(SAMPLERS)),
    "scheduler": (_choice_reader(SCHEDULERS), _described(SCHEDULERS)),
}
