"""A small share of `make fuzz`: files with mistakes are refused in words, whatever the mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fuzz import KINDS, Ground, prepared, run_cases


def test_no_file_breaks_a_command():
    words = [sys.executable, "-m", "tests.fuzz", "--cases", "60"]  # by itself: its Ctrl-C hits whatever runs
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"'{kind}': 10" in done.stdout for kind in KINDS)


@pytest.fixture(scope="module")
def ground(tmp_path_factory) -> Ground:
    return prepared(tmp_path_factory.mktemp("fuzz") / "ground")


def test_a_command_that_breaks_is_noticed(ground, monkeypatch):
    monkeypatch.setattr("data.make_dataset.main", lambda arguments: 1 / 0)
    broken = []
    run_cases(ground, 0, range(3), ["table"], lambda kind, number, problem: broken.append(problem))
    assert any("ZeroDivisionError" in problem for problem in broken)


def test_a_case_is_always_the_same(ground, monkeypatch):
    texts: list[bytes] = []
    monkeypatch.setattr("tests.fuzz.problem_of", lambda command: texts.append(Path("space.yaml").read_bytes()) or "")
    for _ in range(2):
        run_cases(ground, 3, range(5), ["space"], lambda kind, number, problem: None)
    assert texts[:5] == texts[5:] and len(set(texts[:5])) == 5
