"""Values are coerced where nothing is lost, and refused where it would be."""

import os

import numpy as np
import pytest

from configs.defaults import KEYS
from configs.legal import Bool, Float, Int, Maybe, Module, OneOf, Path, Text, TupleOf


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        (Int(), 3, 3),
        (Int(), 3.0, 3),
        (Int(), "3", 3),
        (Int(), "1e3", 1000),
        (Int(), np.int64(3), 3),
        (Float(), 1, 1.0),
        (Float(), "1e-4", 1e-4),
        (Float(), np.float64(0.5), 0.5),
        (Float(), np.float32(0.5), 0.5),
        (Bool(), "true", True),
        (Bool(), "False", False),
        (Bool(), np.bool_(True), True),
        (Text(), "x", "x"),
        (TupleOf(Int()), [1, 2], (1, 2)),
        (TupleOf(Int()), "(160, 160)", (160, 160)),
        (TupleOf(Int()), "[]", ()),
        (TupleOf(Text()), "[a, b]", ("a", "b")),
        (Maybe(Int(), "none"), None, None),
        (Maybe(Int(), "none"), "null", None),
        (Maybe(Int(), "none"), "4", 4),
        (OneOf(("a", "b")), "b", "b"),
        (Path(), "", ""),
        (Module(), "package.module", "package.module"),
    ],
)
def test_reads(rule, given, expected):
    value = rule.read(given)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        (Int(), 99999999999999999999),
        (Int(), "9007199254740993.0"),  # the float that it reads as is another number
        (Float(), "9007199254740993"),
        (Int(), 3.5),
        (Int(), "3.5"),
        (Int(), True),
        (Int(), None),
        (Int(), float("inf")),
        (Int(1), 0),
        (Int(high=5), 6),
        (Float(), True),
        (Float(), float("nan")),
        (Float(), "inf"),
        (Float(), 2**53 + 1),  # has no float of its own
        (Float(0, above_low=True), 0),
        (Float(0, 1, below_high=True), 1.0),
        (Bool(), 1),
        (Bool(), "yes"),
        (Text(), 12),
        (Text(), None),
        (TupleOf(Int()), 128),
        (TupleOf(Int()), "128"),
        (TupleOf(Int(), (2,)), [1]),
        (TupleOf(Int(), ascending=True), [2, 1]),
        (TupleOf(Int()), [1, 2.5]),
        (OneOf(("a", "b")), "c"),
        (Path(), None),
    ],
)
def test_refuses(rule, given):
    with pytest.raises(ValueError):
        rule.read(given)


def test_paths_are_made_absolute_from_the_working_folder(tmp_path):
    assert Path().read("images") == str(tmp_path / "images")
    (tmp_path / "my_parts.py").touch()
    assert Module().read("my_parts.py") == str(tmp_path / "my_parts.py")
    assert Path().read("~/x") == os.path.expanduser("~/x")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_every_default_is_legal_and_explained(key):
    default = os.path.abspath(key.default) if isinstance(key.rule, Path) and key.default else key.default
    assert key.rule.read(key.default) == default
    assert len(key.meaning) > 10
    assert key.rule.allowed
