"""The words of `search:` in a space file, each declared once: how it is read, its JSON schema, and what it says."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from configs.errors import Problems, did_you_mean
from configs.legal import Bool, Float, HintError, Int, OneOf, Rule
from configs.metric_names import METRICS, OBJECTIVES
from search.space.options import CPUS, GPUS, Confirm, NamedOptions, Notify, StartPoint, StopRules
from search.specs.json_schema import Schema, numbers_schema, specs_schema
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS
from search.specs.spec import Spec

AUTO = Confirm(top=1, seeds=2, is_auto=True)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

# Reads a value, given where it is written; adds what is wrong to a list, and returns fields of SearchOptions by name.
Read = Callable[[Any, str, Problems], dict[str, Any]]


@dataclass(frozen=True)
class Word:
    """A word of `search:`.

    Attributes:
        read: see Read.
        schema: of its value.
        form: how it is written.
        meaning: what it says, for docs/space_files.md; empty: it stands beside the word before.
        may_be_null: whether null stands for its default, in a file that extends another.
    """

    read: Read
    schema: Schema
    form: str
    meaning: str = ""
    may_be_null: bool = False


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


def _read_objectives(value: Any, where: str, problems: Problems) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        problems.add(source=where, message=f"objectives: found {value!r}, expected {{metric: min or max, ...}}")
        return {}
    for name, mode in value.items():
        if name not in OBJECTIVES:
            problems.add(
                source=where,
                message=f"objectives: unknown metric {name!r}.{did_you_mean(name, OBJECTIVES)} "
                f"Known: {', '.join(OBJECTIVES)}",
            )
        elif mode != METRICS[name]:
            problems.add(
                source=where,
                message=f"objectives: {name}: found {mode!r}, but it is better the other way: {METRICS[name]}",
            )
    known = [name for name in value if name in OBJECTIVES]
    return {"objectives": known} if known else {}


def _read_stop(value: Any, where: str, problems: Problems) -> dict[str, Any]:
    return {"stop": StopRules(**_numbers(value, where, "stop", {"target": Float(), "patience": Int(1)}, problems))}


def _read_confirm(value: Any, where: str, problems: Problems) -> dict[str, Any]:
    if value == "auto" or value is False:
        return {"confirm": AUTO if value else None}
    if not isinstance(value, dict):
        problems.add(
            source=where, message=f"confirm: found {value!r}, allowed is auto, false or {{top: number, seeds: number}}"
        )
        return {}
    numbers = _numbers(value, where, "confirm", {"top": Int(1), "seeds": Int(2)}, problems)
    return {"confirm": Confirm(numbers.get("top", 3), numbers.get("seeds", 5))}


def _read_kinds(value: Any, where: str, problems: Problems) -> dict[str, Any]:
    if value == "auto" or value is False:
        return {"kinds": None if value else ()}
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value) or len({*value}) < len(value):
        problems.add(
            source=where, message=f"kinds: found {value!r}, allowed is auto, false or a list of different keys"
        )
        return {}
    return {"kinds": tuple(value)}


_NOTIFY = ("command", "beats", "timeout")


def _read_notify(value: Any, where: str, problems: Problems) -> dict[str, Any]:
    given = {"command": value} if isinstance(value, str) else value
    allowed = "a command, or {command: text, beats: number, timeout: time}"
    if not isinstance(given, dict) or not given.keys() <= {*_NOTIFY}:
        unknown = [name for name in given if name not in _NOTIFY] if isinstance(given, dict) else []
        hint = "".join(did_you_mean(str(name), _NOTIFY) for name in unknown)
        problems.add(source=where, message=f"notify: found {value!r}, allowed is {allowed}{'.' if hint else ''}{hint}")
        return {}
    command = given.get("command")
    if not isinstance(command, str) or not command.strip():
        problems.add(source=where, message=f"notify: command: found {command!r}, allowed is a command for the shell")
        return {}
    read: dict[str, Any] = {}
    for name, reader, what in (("beats", Float().read, "a number"), ("timeout", read_duration, _A_TIME)):
        if given.get(name) is not None:
            try:
                read[name] = reader(given[name])
            except (ValueError, OverflowError):
                problems.add(source=where, message=f"notify: {name}: found {given[name]!r}, allowed is {what}")
    return {"notify": Notify(command, **read)}


def _numbers(value: Any, where: str, word: str, rules: dict[str, Rule], problems: Problems) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(value) <= set(rules):
        hints = (
            {did_you_mean(name, rules): None for name in value if name not in rules} if isinstance(value, dict) else {}
        )
        problems.add(
            source=where,
            message=f"{word}: found {value!r}, allowed is {{{', '.join(f'{name}: number' for name in rules)}}}"
            f"{'.' if any(hints) else ''}{''.join(hints)}",
        )
        return {}
    read = {}
    for name, number in value.items():
        try:
            read[name] = rules[name].read(number)
        except (ValueError, OverflowError):
            problems.add(source=where, message=f"{word}: {name}: found {number!r}, allowed is {rules[name].allowed}")
    return read


def _read_start(value: Any, where: str, problems: Problems) -> dict[str, Any]:
    points = []
    for number, point in enumerate(value if isinstance(value, list) else [value], start=1):
        if point == "defaults":
            points.append(StartPoint(None, f"{where}: start: point {number}"))
        elif isinstance(point, dict):
            points.append(StartPoint(dict(point), f"{where}: start: point {number}"))
        else:
            problems.add(
                source=where, message=f"start: point {number}: found {point!r}, expected `defaults` or {{KEY: value}}"
            )
    return {"start": tuple(points)}


def _read_resources(value: Any, where: str, problems: Problems) -> dict[str, Any]:
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


def _named(known: Mapping[str, Spec]) -> str:
    return f"one of {', '.join(known)}, or {{name: {{option: value}}}}"


def _one(word: str, reader: Callable[[Any], Any], allowed: str) -> Read:
    """Returns what reads a word of one value."""

    def read(value: Any, where: str, problems: Problems) -> dict[str, Any]:
        try:
            return {word: reader(value)}
        except (ValueError, OverflowError) as error:
            hint = f" {error}" if isinstance(error, HintError) and str(error) else ""
            problems.add(source=where, message=f"{word}: found {value!r}, allowed is {allowed}.{hint}")
            return {}

    return read


def _ruled(word: str, rule: Rule) -> Read:
    return _one(word, rule.read, rule.allowed)


_DURATION: Schema = {"type": ["string", "number"], "description": "90, 90s, 30m, 1h30m or 2d"}
_A_TIME = "a time above 0 as in 90s, 30m, 1h30m"
_POINT: list[Schema] = [{"const": "defaults"}, {"type": "object"}]

WORDS: dict[str, Word] = {
    "metric": Word(
        _ruled("metric", OneOf(OBJECTIVES)),
        {"enum": list(OBJECTIVES), "description": "what is optimised"},
        "`metric`, `mode`",
        "what is optimised: `val_score`, `val_acc`, `val_loss` ... "
        "([configs/metric_names.py](../configs/metric_names.py))",
    ),
    "mode": Word(_ruled("mode", OneOf(("min", "max"))), {"enum": ["min", "max"]}, ""),
    "objectives": Word(
        _read_objectives,
        {
            "type": "object",
            "properties": {name: {"const": METRICS[name]} for name in OBJECTIVES},
            "additionalProperties": False,
            "minProperties": 1,
        },
        "`objectives: {val_score: max, params: min}`",
        "several, in their place; ends in a Pareto front: pareto.csv, pareto.png, pareto/*.yaml",
    ),
    "num_samples": Word(
        _ruled("num_samples", Int(1)),
        {"type": "integer", "minimum": 1},
        "`num_samples`, `time_budget`",
        "when it ends; whichever comes first",
    ),
    "time_budget": Word(_one("time_budget", read_duration, _A_TIME), _DURATION, "", may_be_null=True),
    "stop": Word(
        _read_stop,
        numbers_schema("target", "patience"),
        "`stop: {target: 0.99, patience: 30}`",
        "when it ends before: by the metric, or after so many trials without a better one; with `confirm`, the best "
        "are confirmed then",
        may_be_null=True,
    ),
    "start": Word(
        _read_start,
        {"anyOf": [*_POINT, {"type": "array", "items": {"anyOf": _POINT}}]},
        "`start: [defaults, {KEY: value}]`",
        "the first samples: the base config, also where it lies outside a range, or points of which the rest is "
        "sampled; what the command line fixes is left out of them",
        may_be_null=True,
    ),
    "reference": Word(
        _ruled("reference", Bool()),
        {"type": "boolean", "description": "whether the base config is trained beside the samples"},
        "`reference: true`",
        "the base config is trained too, to its last epoch, outside all rungs and not counted in `num_samples`: what "
        "the search found is told against it, and best.yaml is the base where nothing beats it. In results.csv, "
        "`is_reference` marks it and `over_reference` says how much better each trial is that was trained whole "
        "(positive is better, for losses too). The default; `false` leaves it out",
    ),
    "confirm": Word(
        _read_confirm,
        {"oneOf": [{"enum": ["auto", False]}, numbers_schema("top", "seeds")]},
        "`confirm: {top: 3, seeds: 5}`",
        "trains the best three again, to their end, with five other seeds; confirm.csv has mean and 95 % interval, "
        "best.yaml the winner, the base always among them. Of those that are tied within noise the cheapest wins, by "
        "`macs`, then `params`. `auto`, the default for 20 samples or more: the best and the base with two other seeds "
        "each, since the best of many single trainings owes some of its place to luck; with so few the best mean wins. "
        "`false` leaves it out",
        may_be_null=True,
    ),
    "kinds": Word(
        _read_kinds,
        {
            "oneOf": [{"enum": ["auto", False]}, {"type": "array", "items": {"type": "string"}, "uniqueItems": True}],
            "description": "keys whose values are compared by whole trainings; auto: the backbone's name",
        },
        "`kinds: [MODEL.BACKBONE.NAME]`",
        "keys whose values learn at different speeds, and are compared by whole trainings (see below). `auto`, the "
        "default: the backbone's name, where it is searched; `false`: none",
    ),
    "seed": Word(
        _ruled("seed", Int(0, 2**31 - 1)),
        {"type": "integer", "minimum": 0},
        "`seed`",
        "fixes the whole search, if it runs one trial at a time",
    ),
    "sampler": Word(
        _one("sampler", _choice_reader(SAMPLERS), _named(SAMPLERS)),
        specs_schema(SAMPLERS),
        "`sampler`, `scheduler`",
        "by name, or `{name: {option: value}}`",
    ),
    "scheduler": Word(_one("scheduler", _choice_reader(SCHEDULERS), _named(SCHEDULERS)), specs_schema(SCHEDULERS), ""),
    "resources": Word(
        _read_resources, numbers_schema("cpu", "gpu"), "`resources: {cpu: 1, gpu: 0.25}`", "of one trial"
    ),
    "max_failures": Word(
        _ruled("max_failures", Int(0)),
        {"type": "integer", "minimum": 0, "description": "how often a trial is tried again"},
        "`max_failures: 2`",
        "how often a trial is tried again after a failure that is not its own: a worker that died, a full memory, a "
        "disk",
    ),
    "trial_timeout": Word(
        _one("trial_timeout", read_duration, _A_TIME),
        {**_DURATION, "description": "longest time without a report of an epoch"},
        "`trial_timeout: 30m`",
        "the longest time that a trial may take to report an epoch; without it there is no limit",
        may_be_null=True,
    ),
    "notify": Word(
        _read_notify,
        {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"command": {"type": "string"}, "beats": {"type": "number"}, "timeout": _DURATION},
                    "required": ["command"],
                    "additionalProperties": False,
                },
            ],
            "description": "a command that is told what happens",
        },
        "`notify: {command: ..., beats: 0.95, timeout: 30s}`",
        "a command for the shell, which gets JSON on its stdin when the search ends, when it ends since trials fail "
        "alike, and when a sample beats a value for the first time; see [watching.md](watching.md)",
        may_be_null=True,
    ),
}
