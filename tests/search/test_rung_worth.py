"""What rungs are worth: the benchmarks that say it, on tables made here."""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import early_epochs, rung_worth
from benchmarks.curve_table import Table, write_table
from benchmarks.early_epochs import correlations
from benchmarks.rung_worth import climb, ladder

EPOCHS = 8


@pytest.fixture
def path() -> Path:
    """200 configurations: early epochs say the reverse of the end, short trainings and averaged weights the truth."""
    height = np.random.default_rng(0).permutation(np.linspace(0.3, 0.9, 200))
    late = np.arange(EPOCHS) >= 5
    curve = np.where(late, height[:, None], 0.3 - 0.1 * height[:, None])
    space = {"x": {"kind": "float", "low": 0.0, "high": 1.0, "log": False}}
    further = {
        "averaged_curve": np.repeat(height[:, None], EPOCHS, axis=1),
        "quarter_curve": np.repeat(height[:, None] / 4, 2, axis=1),
        "half_curve": np.repeat(height[:, None] / 2, 4, axis=1),
        "second_curve": curve,
    }
    params = [{"x": float(value)} for value in height]
    lists = {name: values.tolist() for name, values in further.items()}
    Path("tables").mkdir()
    write_table(Path("tables/made_up.parquet"), space, params, curve.tolist(), [1.0] * 200, further=lists)
    return Path("tables/made_up.parquet")


def test_how_well_each_epoch_says_what_comes(path):
    found = correlations(path)
    assert found["own value"] == pytest.approx([-1.0] * 5 + [1.0] * 3)
    assert found["best so far"][-1] == pytest.approx(1.0)
    assert found["averaged weights"] == pytest.approx([1.0] * EPOCHS)
    assert found["short training"] == pytest.approx([np.nan, 1.0, np.nan, 1.0, *[np.nan] * 4], nan_ok=True)


def test_a_ladder_is_worth_what_its_rungs_say(path):
    table, frame = Table(path, trainings=10), pq.read_table(path).to_pandas()
    regrets = {
        name: np.mean([climb(table, ladder(table, frame, name), seed, workers=4)[2] for seed in range(30)])
        for name in ("whole", "1 whole", "1 7 whole", "averaged 1 whole", "restart 2 4 whole")
    }
    assert regrets["1 whole"] > 90, "it goes on with the worst"
    assert regrets["averaged 1 whole"] < regrets["restart 2 4 whole"] < regrets["whole"] < 60
    assert [rung.epochs for rung in ladder(table, frame, "1 7 whole")] == [1, 6, 1]
    assert [rung.epochs for rung in ladder(table, frame, "restart 2 4 whole")] == [2, 4, 8]


@pytest.mark.parametrize(("benchmark", "more"), [(early_epochs, []), (rung_worth, ["--seeds", "2"])])
def test_the_commands(path, monkeypatch, capsys, benchmark, more):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--tables", "tables", *more])
    assert benchmark.main() == 0
    assert "made_up" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["benchmark", "--tables", "nothing"])
    assert benchmark.main() == 2
    assert "nothing holds no .parquet tables" in capsys.readouterr().err
