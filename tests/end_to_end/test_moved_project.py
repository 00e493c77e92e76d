"""A project that is renamed, or whose files are given to somebody else: what works at once, and what is asked first."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from search.run import main as search
from trainable import evaluate, export, predict, train
from trainable.backbone.registry import BACKBONE_REGISTRY

PARTS = """
from pathlib import Path
from torch import nn
from trainable.backbone.registry import BACKBONE_REGISTRY

Path("ran").touch()


class Own(nn.Module):
    num_features = 3

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3)

    def forward(self, images):
        return self.layer(images).mean(dim=(2, 3))


@BACKBONE_REGISTRY.register("BACKBONE")
def build(backbone_cfg):
    return Own()
"""
NAMES = iter(f"own_{number}" for number in range(100))  # a process knows a part by one file


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Path:
    """A project in which a model with parts of its own was trained, and which was renamed after that."""
    (tmp_path / "before").mkdir()
    monkeypatch.chdir(tmp_path / "before")
    name = next(NAMES)
    Path("parts.py").write_text(PARTS.replace('BACKBONE"', f'{name}"'))
    Path("own.yaml").write_text(
        f"USER_MODULES: [parts.py]\nMODEL: {{BACKBONE.NAME: {name}, SOLVER.TOTAL_EPOCHS: 1}}\n"
        "TENSORBOARD: false\nDATASET: {PATH_DATA_RAW: pictures, NAME: image_folder, RESIZE_SHAPE: [8, 8]}\n"
    )
    for number in range(8):
        folder = Path("pictures", "ab"[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{number}.png"), np.full((8, 8, 3), 25 * number, np.uint8))
    assert train.main(["-o", "experiments/x", "--cfg", "own.yaml"]) == 0
    forget_parts()
    monkeypatch.chdir(tmp_path)
    Path("before").rename("after")
    monkeypatch.chdir("after")
    Path("ran").unlink()
    return tmp_path / "after"


def forget_parts() -> None:
    """Leaves this process as another one is, which has not run parts.py under the project's old name."""
    for name in [name for name in BACKBONE_REGISTRY if name.startswith("own_")]:
        del BACKBONE_REGISTRY._builders[name]


CHECKPOINT = ["--checkpoint", "experiments/x/best.pt"]
PREDICT = ["--data", "pictures/a", "-o", "out.csv"]


def test_a_renamed_project_predicts_evaluates_exports_and_trains_on(trained, capsys):
    assert predict.main([*PREDICT, *CHECKPOINT]) == 0
    assert "note: runs parts.py (USER_MODULES of experiments/x/best.pt)" in capsys.readouterr().out
    assert evaluate.main([*CHECKPOINT, "--data", "pictures", "-o", "test"]) == 0
    assert export.main([*CHECKPOINT, "-o", "model.pt2"]) == 0
    assert train.main(["-o", "experiments/x", "--resume"]) == 0
    assert train.main(["-o", "y", "--cfg", "experiments/x/results/config.yaml"]) == 0
    assert "note: runs parts.py (USER_MODULES of experiments/x/results/config.yaml, line" in capsys.readouterr().out


def test_code_from_elsewhere_is_asked_for_first(trained, tmp_path, monkeypatch, capsys):
    Path("../mine").mkdir()
    monkeypatch.chdir("../mine")
    checkpoint = ["--checkpoint", str(trained / "experiments/x/best.pt")]
    data = ["--data", str(trained / "pictures")]
    for command, more in (
        (predict, [*data, "-o", "out.csv"]),
        (evaluate, [*data, "-o", "out"]),
        (export, ["-o", "model.pt2"]),
    ):
        assert command.main([*checkpoint, *more]) == 2
        error = capsys.readouterr().err
        assert (
            f"its USER_MODULES name code that would run: {trained}/parts.py. {trained}/experiments/x/best.pt" in error
        )
        assert not Path("ran").exists()
    assert predict.main([*checkpoint, *data, "-o", "out.csv", "--allow-code"]) == 0
    # one's own copy needs no word, wherever the checkpoint lies, and neither does one that .env names
    shutil.copy(trained / "parts.py", "copy.py")
    Path("copy.py").write_text("")  # its parts are registered already, in this process
    assert predict.main([*checkpoint, *data, "-o", "b.csv", "USER_MODULES", "[copy.py]"]) == 0
    Path(".env").write_text("USER_MODULES=[copy.py]\n")
    capsys.readouterr()
    assert predict.main([*checkpoint, *data, "-o", "c.csv"]) == 0
    assert "note: runs copy.py (USER_MODULES of .env (" in capsys.readouterr().out
    assert Path("out.csv").read_text() == Path("b.csv").read_text() == Path("c.csv").read_text()


def test_a_checkpoint_in_the_working_folder_brings_no_code_from_elsewhere(trained, monkeypatch, capsys):
    Path("../mine").mkdir()
    monkeypatch.chdir("../mine")
    shutil.copy(trained / "experiments/x/best.pt", "best.pt")
    Path("../after").rename("../before")  # the folder in which the checkpoint was trained
    assert predict.main(["--checkpoint", "best.pt", "--data", "../before/pictures", "-o", "out.csv"]) == 2
    assert "code that would run" in capsys.readouterr().err and not Path("ran").exists()


def test_code_that_has_changed_since_is_told(trained, ray_address, capsys):
    Path("s.yaml").write_text(
        "base: own.yaml\nsearch: {num_samples: 1, scheduler: none, reference: false}\n"
        "space: {MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1e-1]}}\n"
    )
    assert search(["--space", "s.yaml", "--address", ray_address]) == 0
    Path("parts.py").write_text(Path("parts.py").read_text() + "# another\n")
    told = "USER_MODULES: changed since then: parts.py: the numbers may be others"
    capsys.readouterr()
    assert predict.main([*PREDICT, *CHECKPOINT]) == 0
    assert f"note: experiments/x/best.pt: {told}" in capsys.readouterr().out
    assert train.main(["-o", "y", "--cfg", "experiments/s/best.yaml"]) == 0
    assert told in capsys.readouterr().err
    assert search(["--resume", "-o", "experiments/s"]) == 0
    assert f"note: {told}, and trials that are resumed have begun" in capsys.readouterr().out


def test_a_home_folder_is_no_project(trained, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(trained))
    assert predict.main([*PREDICT, *CHECKPOINT]) == 2
    assert "does not lie below the working folder of a project" in capsys.readouterr().err


def test_modules_of_env_file_and_command_line_are_refused_together(trained, capsys):
    Path(".env").write_text("USER_MODULES=[parts.py]\n")
    assert predict.main(["USER_MODULES", "[parts.py]", *PREDICT, *CHECKPOINT]) == 2
    assert "command line: USER_MODULES is also set by .env" in capsys.readouterr().err


def test_a_search_says_whose_code_runs(trained, capsys):
    Path("s.yaml").write_text("base: own.yaml\nspace: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n")
    assert search(["--space", "s.yaml", "--dry-run"]) == 0
    assert "# note: runs parts.py (USER_MODULES of own.yaml, line 1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            ["MODEL.BACKBONE.NAME", "x"],
            "command line: MODEL.BACKBONE.NAME belongs to the model; what can be given",
        ),
        (["USER_MODULES", "[gone.py]"], "USER_MODULES: found '[gone.py]', allowed is a list"),
    ],
)
def test_what_cannot_be_given_to_a_model(trained, pairs, message, capsys):
    assert predict.main([*PREDICT, *CHECKPOINT, *pairs]) == 2  # behind --checkpoint: taken for files
    assert f"{pairs[0]}: is a config key; give KEY VALUE pairs before --checkpoint" in capsys.readouterr().err
    assert predict.main([*pairs, *PREDICT, *CHECKPOINT]) == 2
    assert message in capsys.readouterr().err


def test_a_renamed_search_goes_on_and_its_best_is_retrained(trained, ray_address, monkeypatch, capsys):
    Path("s.yaml").write_text(
        "base: own.yaml\nsearch: {num_samples: 1, scheduler: none, reference: false}\n"
        "space: {MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1e-1]}}\n"
    )
    assert search(["--space", "s.yaml", "--address", ray_address]) == 0
    monkeypatch.chdir("..")
    Path("after").rename("again")
    monkeypatch.chdir("again")
    forget_parts()
    assert search(["--resume", "-o", "experiments/s", "--address", ray_address, "--num-samples", "2"]) == 0
    assert "resumed: 1 trial kept" in capsys.readouterr().out
    assert pd.read_csv("experiments/s/results.csv")["state"].tolist() == ["done", "done"]
    assert train.main(["-o", "best", "--cfg", "experiments/s/best.yaml"]) == 0
