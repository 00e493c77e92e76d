"""The JSON schema of space files, with which editors complete and check them while they are written.

python -m search.schema -o spaces/space.schema.json

In a space file, this line lets editors with a YAML language server find it:

    # yaml-language-server: $schema=space.schema.json
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.command_line import command_parser
from configs.defaults import KEYS, NODES, Key
from configs.errors import exit_status
from configs.files import write_atomically
from configs.legal import Bool, Float, Int, OneOf
from configs.metric_names import METRICS, OBJECTIVES
from search.space.options_reader import MAY_BE_NULL
from search.specs.samplers import SAMPLERS
from search.specs.schedulers import SCHEDULERS
from search.specs.spec import Option, Spec

Schema = dict[str, Any]

_RANGE: Schema = {"type": ["array", "object"]}
_DISTRIBUTIONS = {
    "uniform": "[low, high]: a number; high itself is not sampled",
    "loguniform": "[low, high]: a number above 0, as likely in each power of ten",
    "quniform": "[low, high, q]: low, low + q ... high",
    "randint": "[low, high]: a whole number below high",
    "lograndint": "[low, high]: a whole number below high, as likely in each power of ten",
    "qrandint": "[low, high, q]: low, low + q ... high",
}
_DURATION: Schema = {"type": ["string", "number"], "description": "90, 90s, 30m, 1h30m or 2d"}


def space_schema() -> Schema:
    """Returns the schema."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "yacstune space file",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "extends": {"type": "string", "description": "another space file, which this one adds to and overrides"},
            "base": {"type": "string", "description": "the experiment YAML that samples are merged over"},
            "search": _search(),
            "space": {"$ref": "#/definitions/nodes/root"},
            "constraints": {
                "type": "array",
                "items": {"type": "string"},
                "description": "expressions over config keys that are true of every sample",
            },
        },
        "definitions": {
            "when": {"type": "object", "minProperties": 1, "description": "{KEY: value, OTHER: [any, of, these]}"},
            "distribution": _distribution(),
            "keys": {key.name: _key_line(key) for key in KEYS.values() if not key.is_secret},
            "nodes": {"root": _node(""), **{node: _node(node) for node in NODES}},
        },
    }


def _distribution() -> Schema:
    when = {"when": {"$ref": "#/definitions/when"}}
    ranges = [
        {
            "properties": {word: {**_RANGE, "description": meaning}, **when},
            "required": [word],
            "additionalProperties": False,
        }
        for word, meaning in _DISTRIBUTIONS.items()
    ]
    choice = {
        "properties": {"choice": {"type": "array", "minItems": 2, "description": "one of these values"}, **when},
        "required": ["choice"],
        "additionalProperties": False,
    }
    derive = {
        "properties": {"derive": {"type": "string", "description": "an expression over other keys"}, **when},
        "required": ["derive"],
        "additionalProperties": False,
    }
    return {"type": "object", "anyOf": [*ranges, choice, derive]}


def _node(node: str) -> Schema:
    """The lines that may stand below a node: its nodes and keys, with the dotted name of each from there on."""
    inside = f"{node}." if node else ""
    lines: Schema = {}
    for name in NODES:
        if name.startswith(inside) and name != node:
            lines[name.removeprefix(inside)] = _node_line(name)
    for key in KEYS.values():
        if key.name.startswith(inside) and not key.is_secret:
            lines[key.name.removeprefix(inside)] = {"$ref": f"#/definitions/keys/{key.name}"}
    return {"type": "object", "additionalProperties": False, "properties": lines}


def _node_line(node: str) -> Schema:
    lines = {"$ref": f"#/definitions/nodes/{node}"}
    branches = {
        "type": "object",
        "properties": {
            "choice": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"anyOf": [lines, {"type": "null"}]},
                "description": "named branches, with the keys of each",
            },
            "when": {"$ref": "#/definitions/when"},
        },
        "required": ["choice"],
        "additionalProperties": False,
    }
    forms: list[Schema] = [lines, branches]
    if f"{node}.NAME" in KEYS:
        forms += [{"type": "string"}, {"$ref": "#/definitions/distribution"}]
    return {"anyOf": forms}


def _key_line(key: Key) -> Schema:
    constant = {"description": f"{key.meaning} ({key.rule.allowed})"}
    if not key.searchable:
        return {**constant, "not": {"type": "object"}}
    return {**constant, "anyOf": [{"not": {"type": "object"}}, {"$ref": "#/definitions/distribution"}]}


def _search() -> Schema:
    point: list[Schema] = [{"const": "defaults"}, {"type": "object"}]
    objective = {name: {"const": METRICS[name]} for name in OBJECTIVES}
    words: Schema = {
        "metric": {"enum": list(OBJECTIVES), "description": "what is optimised"},
        "mode": {"enum": ["min", "max"]},
        "objectives": {"type": "object", "properties": objective, "additionalProperties": False, "minProperties": 1},
        "num_samples": {"type": "integer", "minimum": 1},
        "time_budget": _DURATION,
        "reference": {"type": "boolean", "description": "whether the base config is trained beside the samples"},
        "max_failures": {"type": "integer", "minimum": 0, "description": "how often a trial is tried again"},
        "trial_timeout": {**_DURATION, "description": "longest time without a report of an epoch"},
        "seed": {"type": "integer", "minimum": 0},
        "sampler": _named(SAMPLERS),
        "scheduler": _named(SCHEDULERS),
        "resources": _numbers("cpu", "gpu"),
        "stop": _numbers("target", "patience"),
        "start": {"anyOf": [*point, {"type": "array", "items": {"anyOf": point}}]},
        "kinds": {
            "oneOf": [{"enum": ["auto", False]}, {"type": "array", "items": {"type": "string"}, "uniqueItems": True}],
            "description": "keys whose values are compared by whole trainings; auto: the backbone's name",
        },
        "confirm": {"oneOf": [{"enum": ["auto", False]}, _numbers("top", "seeds")]},
    }
    words |= {word: {"anyOf": [words[word], {"type": "null"}]} for word in MAY_BE_NULL}
    return {"type": "object", "additionalProperties": False, "properties": words}


def _numbers(*names: str) -> Schema:
    numbers = {name: {"type": "number"} for name in names}
    return {"type": "object", "additionalProperties": False, "properties": numbers}


def _named(known: Mapping[str, Spec]) -> Schema:
    with_options = {
        name: {
            "type": ["object", "null"],
            "additionalProperties": False,
            "description": spec.meaning,
            "properties": {name: _option(option) for name, option in spec.options.items()},
        }
        for name, spec in known.items()
    }
    return {
        "anyOf": [
            {"enum": list(known)},
            {"type": "object", "properties": with_options, "additionalProperties": False, "maxProperties": 1},
        ]
    }


def _option(option: Option) -> Schema:
    default = "" if option.default is None else f"; {option.default} without it"
    described: Schema = {"description": f"{option.meaning}: {option.rule.allowed}{default}"}
    match option.rule:
        case Bool():
            return {**described, "type": "boolean"}
        case Int():
            return {**described, "type": "integer"}
        case Float():
            return {**described, "type": "number"}
        case OneOf(names=names):
            return {**described, "enum": list(names)}
    return described


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser: argparse.ArgumentParser = command_parser(
        "search.schema", __doc__, "Writes the JSON schema of space files, for editors."
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="replaced if it is there")
    args = parser.parse_args(argv)

    def write() -> int:
        write_atomically(args.output, json.dumps(space_schema(), indent=1) + "\n")
        return 0

    return exit_status(write)


if __name__ == "__main__":
    sys.exit(main())
