"""Whether a training gives the numbers again that a file records."""

import json
from pathlib import Path

import pytest
import torch

from configs.metric_names import TIMES
from tests.conftest import TINY_PAIRS
from trainable.recorded_curve import curve_comment, recorded_curve
from trainable.train import main as train
from trainable.verify import NOISE, _told

CONFIG = "run/results/config.yaml"


@pytest.fixture
def run():
    assert train(["-o", "run", *TINY_PAIRS]) == 0


def edited(change) -> str:
    """Writes best.yaml: the config of the run with its curve in a comment, changed."""
    rows = recorded_curve(CONFIG)
    change(rows)
    Path("best.yaml").write_text(f"# The best trial.\n{curve_comment(rows)}\n{Path(CONFIG).read_text()}")
    return "best.yaml"


def test_a_training_is_identical_with_the_curve_beside_its_config_or_in_its_file(run, capsys):
    for path in (CONFIG, edited(lambda rows: None)):
        capsys.readouterr()
        assert train(["--cfg", path, "--verify"]) == 0
        told = capsys.readouterr().out
        assert told.count("  identical") == 3 and "identical in all 3 epochs" in told
    assert sorted(path.name for path in Path().iterdir()) == ["best.yaml", "run"], "it leaves nothing"


def test_some_epochs_are_enough(run, capsys):
    assert train(["--cfg", CONFIG, "--verify", "2", "-o", "again"]) == 0
    assert "identical in all 2 epochs" in capsys.readouterr().out
    assert len((Path("again") / "results" / "metrics.csv").read_text().splitlines()) == 3


def test_where_curves_part_is_told_and_why_that_may_be(run, capsys):
    def change(rows):
        rows[1]["val_loss"] += 1e-9

    assert train(["--cfg", edited(change), "--verify"]) == 3
    told = capsys.readouterr().out
    assert "they differ from epoch 2 on: val_loss " in told and told.count("  identical") == 2
    assert "nothing that the file records of versions, device, code, weights and data differs here" in told
    text = Path("best.yaml").read_text()
    environment = json.loads(text.split("# environment: ")[1].splitlines()[0])
    other = environment | {"torch": "1.0", "data": "others"}
    Path("best.yaml").write_text(text.replace(json.dumps(environment), json.dumps(other)))
    assert train(["--cfg", "best.yaml", "--verify", "SEED", "7"][:3]) == 3
    told = capsys.readouterr().out
    assert f"possible reason: torch 1.0 there, {torch.__version__} here" in told
    assert "the images, their labels or their split are others" in told
    assert train(["--cfg", CONFIG, "--verify=1", "SEED", "7"]) == 3
    assert "possible reason: SEED is '7' (command line)" in capsys.readouterr().out


def test_within_the_noise_of_a_device(capsys):
    assert _told(3, NOISE / 2, None, []) == 0
    assert "3 epochs, within the noise of this device: at most 0.01 apart" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("curve", "told"),
    [
        ("", "records no curve to compare with"),
        ("# curve: [{\n", "the curve in the comment of x.yaml cannot be read"),
        ('# curve: [{"epoch": 2, "val_loss": 1}]\n', "cannot be read"),
        ('# curve: [{"epoch": 1, "val_loss": "low"}]\n', "cannot be read"),
        ("# curve: [1]\n", "cannot be read"),
        ("# curve: []\n", "cannot be read"),
    ],
)
def test_files_without_a_curve_are_answered(curve, told, capsys):
    Path("x.yaml").write_text(f"{curve}SEED: 1\n")
    assert train(["--cfg", "x.yaml", "--verify"]) == 2
    assert told in capsys.readouterr().err


def test_what_does_not_go_with_it(run, capsys):
    assert train(["--verify"]) == 2
    assert train(["--cfg", CONFIG, "--resume", "-o", "run", "--verify"]) == 2
    assert capsys.readouterr().err.count("--verify: compares a training with the file of --cfg, without --resume") == 2
    with pytest.raises(SystemExit):
        train(["--cfg", CONFIG, "--verify", "none"])
    assert "found 'none', allowed is a number of epochs" in capsys.readouterr().err


def test_a_curve_has_no_times_and_all_digits():
    rows = [{"epoch": 1, "val_loss": 1 / 3, "seconds": 1.0, "images_per_second": 5.0}]
    (row,) = json.loads(curve_comment(rows).removeprefix("# curve: "))
    assert row == {"epoch": 1, "val_loss": 1 / 3} and not row.keys() & set(TIMES)
