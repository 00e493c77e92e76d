"""The learning rate range test."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import ConfigError
from tests.conftest import ROOT, TINY_PAIRS
from trainable import find_lr
from trainable.find_lr import suggested_rate


def test_it_suggests_a_rate_and_draws_the_curve(capsys):
    assert find_lr.main(["-o", "lr", "--steps", "60", *TINY_PAIRS]) == 0
    out = capsys.readouterr().out
    suggested = float(out.split("BASE_LR")[1])
    curve = pd.read_csv("lr/lr_range.csv")
    assert Path("lr/lr_range.png").stat().st_size > 1000
    assert curve["lr"].is_monotonic_increasing and curve["lr"][0] == pytest.approx(1e-7)
    assert 1e-4 < suggested < 1
    assert curve["loss"].min() < curve["loss"][0] - 0.1


def test_it_suggests_a_tenth_of_the_rate_of_the_lowest_loss():
    assert suggested_rate([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.5, 1.0, 4.0]) == pytest.approx(1e-3)


def test_a_loss_that_never_falls():
    with pytest.raises(ConfigError, match="the loss falls at none of the rates"):
        suggested_rate([0.1, 1.0], [1.0, 2.0])


def test_mistakes(capsys):
    assert find_lr.main(["--steps", "3"]) == 2
    assert "--steps: found 3, allowed is at least 20" in capsys.readouterr().err
    Path("taken").touch()
    assert find_lr.main(["-o", "taken"]) == 2
    assert "-o: taken is a file; give a folder" in capsys.readouterr().err


def test_a_home_that_cannot_be_written_brings_no_remarks_of_matplotlibs():
    code = "from configs.figures import new_figure; new_figure(1, 1)"
    environment = {**os.environ, "HOME": "/proc/nobody", "PYTHONPATH": str(ROOT)}
    for name in ("MPLCONFIGDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""
