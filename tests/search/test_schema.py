"""The JSON schema that editors use."""

import json

import jsonschema
import pytest
import yaml

from configs.errors import ConfigError
from search.doc_tables import tables, with_tables
from search.schema import main, space_schema
from tests.conftest import ROOT

SPACES = sorted((ROOT / "spaces").glob("*.yaml"))


def test_the_schema_in_the_repository_is_current(tmp_path):
    assert main(["-o", "schema.json"]) == 0
    written = (tmp_path / "schema.json").read_text()
    assert written == (ROOT / "spaces" / "space.schema.json").read_text(), "python -m search.schema makes it"
    assert json.loads(written) == space_schema()


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_every_space_is_valid(path):
    jsonschema.validate(yaml.safe_load(path.read_text()), space_schema())


@pytest.mark.parametrize(
    "text",
    [
        "serach: {seed: 1}",
        "search: {metric: accuracy}",
        "search: {sampler: {tpe: {startup: 3}}}",
        "search: {objectives: {val_score: min}}",
        "space: {MODEL.HED.DROPOUT: 0.1}",
        "space: {MODEL: {HEAD: {DROPOUT: {unifrom: [0, 1]}}}}",
        "space: {OUTPUT_PATH: {choice: [a, b]}}",
        "space: {MODEL.HEAD: {choice: {a: {DROPUT: 0.1}, b: }}}",
        "space: {SEED: {choice: [1]}}",
        "search: {start: 3}",
    ],
)
def test_mistakes(text):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), space_schema())


@pytest.mark.parametrize(
    "text",
    [
        "search: {start: defaults, scheduler: {asha: null}}",
        "search: {start: {SEED: 1}, stop: null, time_budget: null, confirm: null}",
        "space: {MODEL.HEAD: {choice: {only: {DROPOUT: 0.1}}}}",
    ],
)
def test_what_the_reader_takes_is_valid(text):
    jsonschema.validate(yaml.safe_load(text), space_schema())


def test_the_tables_of_the_documents_are_current():
    document = (ROOT / "docs" / "space_files.md").read_text()
    assert document.count("<!-- table: ") == len(tables()) == 4
    assert with_tables(document) == document, "python -m search.schema --tables makes them"
    with pytest.raises(ConfigError, match="there is no table 'sampler'"):
        with_tables("<!-- table: sampler -->\n<!-- end -->")
