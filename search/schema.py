"""The JSON schema of space files, with which editors complete and check them while they are written.

python -m search.schema -o spaces/space.schema.json

In a space file, this line lets editors with a YAML language server find it:

    # yaml-language-server: $schema=space.schema.json
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from configs.command_line import command_parser
from configs.defaults import KEYS, NODES, Key
from configs.errors import exit_status
from configs.files import write_atomically
from search.doc_tables import with_tables
from search.space.distributions import DISTRIBUTIONS
from search.space.words import WORDS
from search.specs.json_schema import Schema

_RANGE: Schema = {"type": ["array", "object"]}


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
            "properties": {word: {**_RANGE, "description": f"[{', '.join(spec.arguments)}]: {spec.meaning}"}, **when},
            "required": [word],
            "additionalProperties": False,
        }
        for word, spec in DISTRIBUTIONS.items()
        if spec.arguments
    ]
    values = {"type": "array", "minItems": 2, "description": DISTRIBUTIONS["choice"].meaning}
    choice = {
        "properties": {"choice": values, **when},
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
    words = {name: word.schema for name, word in WORDS.items()}
    words |= {name: {"anyOf": [words[name], {"type": "null"}]} for name, word in WORDS.items() if word.may_be_null}
    return {"type": "object", "additionalProperties": False, "properties": words}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser: argparse.ArgumentParser = command_parser(
        "search.schema", __doc__, "Writes the JSON schema of space files, for editors."
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="replaced if it is there")
    parser.add_argument("--tables", metavar="FILE", type=Path, help="a Markdown document whose tables are made anew")
    args = parser.parse_args(argv)

    def write() -> int:
        write_atomically(args.output, json.dumps(space_schema(), indent=1) + "\n")
        if args.tables:
            write_atomically(args.tables, with_tables(args.tables.read_text()))
        return 0

    return exit_status(write)


if __name__ == "__main__":
    sys.exit(main())
