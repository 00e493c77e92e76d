"""JSON schemas of what is declared here."""

from collections.abc import Mapping
from typing import Any

from configs.legal import Bool, Float, Int, OneOf, TupleOf
from search.specs.spec import Option, Spec

Schema = dict[str, Any]


def numbers_schema(*names: str) -> Schema:
    """Returns the schema of a mapping of numbers."""
    numbers = {name: {"type": "number"} for name in names}
    return {"type": "object", "additionalProperties": False, "properties": numbers}


def specs_schema(known: Mapping[str, Spec]) -> Schema:
    """Returns the schema of a sampler or scheduler by name, or as `{name: {option: value}}`."""
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
        case TupleOf(item=Int()):
            return {**described, "type": "array", "items": {"type": "integer"}}
    return described
