"""The command for one run: its exit status, messages and folder rules. Training itself is tested in test_fit.py."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from configs.loader import load_cfg
from tests.conftest import ROOT, TINY_PAIRS, write_pictures, write_tiny
from trainable import console
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.run_folder import RunFolder
from trainable.train import main


def run(*arguments: str) -> int:
    return main([*arguments, *TINY_PAIRS])


def test_trains_and_says_where_everything_is(capsys):
    assert run("-o", "exp/a") == 0
    out = capsys.readouterr().out
    assert "epoch   3/3" in out
    assert "best val_score" in out and "all files in exp/a" in out
    assert Path("exp/a/train.log").read_text().count("epoch") >= 3


def test_a_folder_in_use_is_refused_unless_resumed(capsys):
    assert run("-o", "a") == 0
    before = {path: path.read_bytes() for path in Path("a").rglob("*") if path.is_file()}
    assert run("-o", "a") == 2
    assert (
        "error: a: the folder is not empty; give another one with -o, or go on in it with --resume"
        in capsys.readouterr().err
    )
    assert {path: path.read_bytes() for path in Path("a").rglob("*") if path.is_file()} == before
    assert main(["-o", "a", "--resume"]) == 0


def test_resuming_with_another_config_is_refused(capsys):
    assert run("-o", "a") == 0
    assert main(["-o", "a", "--resume", "--cfg", "a/results/config.yaml", "SEED", "3"]) == 2
    assert "SEED was 0 and is 3 now" in capsys.readouterr().err


def test_resuming_in_changed_surroundings_is_refused(capsys):
    assert run("-o", "a") == 0
    Path(".env").write_text("SEED=3\n")
    assert main(["-o", "a", "--resume"]) == 2
    assert "SEED was 0 and is 3 now" in capsys.readouterr().err
    Path(".env").write_text("DATASET.PATH_DATA_RAW=/moved\n")  # changes no number
    assert main(["-o", "a", "--resume"]) == 0


def test_nothing_to_resume(capsys):
    assert run("-o", "nothing", "--resume") == 2
    assert "nothing: nothing to resume" in capsys.readouterr().err
    assert not Path("nothing").exists()


def test_output_wins_over_the_config(monkeypatch):
    monkeypatch.setenv("OUTPUT_PATH", "from_env")
    assert run("-o", "from_flag") == 0
    assert Path("from_flag/latest.pt").exists() and not Path("from_env").exists()


def test_without_a_folder(capsys):
    assert main([]) == 2
    assert "Give a folder with -o" in capsys.readouterr().err


def test_a_diverging_run_has_its_own_exit_status(capsys):
    assert main(["-o", "a", *TINY_PAIRS, "MODEL.SOLVER.LOSS.NAME", "nan_loss"]) == 3
    assert "epoch 1: train_loss is nan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cfg", "missing.yaml"], "missing.yaml: no such file"),
        (["SEEED", "1"], "unknown key 'SEEED'. Did you mean 'SEED'?"),
        (
            ["DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "nowhere"],
            "command line: DATASET.PATH_DATA_RAW: there is no folder",
        ),
        (["USER_MODULES", "[no_module]"], "command line: USER_MODULES: no_module: no such module; give the path"),
        (
            ["MODEL.BACKBONE", "vit_tiny_patch16_224"],
            "vit_tiny_patch16_224 with simple_head_module cannot be trained on images of 32x32: ",
        ),
        (["RESUME_PATH", "none.pt"], "RESUME_PATH: found 'none.pt', allowed is the path of an existing file"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["-o", "a", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not Path("a").exists(), "so that the corrected command can use the folder"


def test_all_mistakes_are_told_at_once_with_their_places(capsys):
    Path("used").mkdir()
    Path("used/file").touch()
    Path("exp.yaml").write_text("SEED: 1\nSEED: 2\n")
    assert main(["-o", "used", "--cfg", "exp.yaml", "SEEED", "3", "DATASET.BATCH_SIZE", "0"]) == 2
    told = capsys.readouterr().err
    for words in (
        "exp.yaml, line 2: key 'SEED' stands",
        "command line: unknown key",
        "BATCH_SIZE: found '0'",
        "used: the",
    ):
        assert words in told, words
    Path("exp.yaml").write_text("MODEL.BACKBONE: resnet_18\n\nMODEL.SOLVER.OPTIMIZER: adamm\n")
    assert main(["-o", "new", "--cfg", "exp.yaml"]) == 2
    backbone, optimizer = capsys.readouterr().err.splitlines()
    assert "exp.yaml, line 1: MODEL.BACKBONE.NAME: unknown backbone 'resnet_18'. Did you mean 'resnet18'?" in backbone
    assert "exp.yaml, line 3: MODEL.SOLVER.OPTIMIZER.NAME: unknown optimizer 'adamm'. Did you mean 'adam'?" in optimizer


def test_a_refused_start_does_not_block_the_folder(capsys):
    assert run("-o", "first") == 0
    assert main(["-o", "a", *TINY_PAIRS, "SEED", "5", "RESUME_PATH", "first/latest.pt"]) == 2
    error = capsys.readouterr().err
    assert "first/latest.pt: a training is resumed with the config it had, but SEED was 0 and is 5 now" in error
    assert "SEED was 0 and is 5 now" in Path("a/train.log").read_text()
    assert run("-o", "a") == 0


def test_two_trainings_never_write_into_one_folder(capsys):
    with RunFolder("a").locked():
        assert run("-o", "a") == 2
    assert "/a: another process is at work in this folder; wait for it or stop it" in capsys.readouterr().err
    assert not RunFolder("a").is_used()


def test_a_checkpoint_of_another_version_is_answered(capsys):
    assert run("-o", "a") == 0
    torch.save({**torch.load("a/latest.pt", weights_only=True), "format": 99}, "a/latest.pt")
    assert main(["-o", "a", "--resume"]) == 2
    assert "latest.pt: has format 99, this version reads format" in capsys.readouterr().err


def test_where_raw_data_was_said_to_be_is_told(capsys, monkeypatch):
    monkeypatch.setenv("DATASET__PATH_DATA_RAW", "nowhere")
    assert main(["-o", "a", "DATASET.NAME", "bengali"]) == 2
    error = capsys.readouterr().err
    assert "environment variable DATASET__PATH_DATA_RAW" in error


def test_a_folder_that_another_process_takes_meanwhile(capsys, monkeypatch):
    monkeypatch.setattr(console, "rehearse", lambda cfg: (Path("a").mkdir(), Path("a/latest.pt").touch()))
    assert run("-o", "a") == 2
    assert "/a: another process has taken the folder meanwhile; start again" in capsys.readouterr().err
    assert sorted(path.name for path in Path("a").iterdir()) == [".lock", "latest.pt"]


def test_a_folder_in_use_is_refused_before_torch(capsys, monkeypatch):
    assert run("-o", "a") == 0
    monkeypatch.setitem(sys.modules, "trainable.console", None)  # importing it, and torch with it, fails
    with RunFolder("a").locked():
        assert main(["-o", "a", "--resume"]) == 2
    assert "/a: another process is at work in this folder" in capsys.readouterr().err


def test_a_file_where_the_folder_should_be(capsys):
    Path("taken").touch()
    assert run("-o", "taken") == 2
    assert "error: taken: is a file; give a folder with -o" in capsys.readouterr().err
    assert run("-o", "taken/below") == 2
    assert "taken: is a file, where a folder is needed" in capsys.readouterr().err


def test_a_different_cpu_is_told(capsys):
    assert run("-o", "a") == 0
    text = Path("a/results/config.yaml").read_text()
    assert '"cpu_capability": "' in text
    Path("moved.yaml").write_text(text.replace('"cpu_capability": "', '"cpu_capability": "Z80 and '))
    assert main(["-o", "b", "--cfg", "moved.yaml"]) == 0
    assert "numbers may differ in their last digits: cpu_capability Z80 and" in capsys.readouterr().err


def test_what_the_environment_changes_of_a_yaml_is_told(monkeypatch, capsys):
    assert run("-o", "a") == 0
    monkeypatch.setenv("SEED", "3")
    assert main(["-o", "b", "--cfg", "a/results/config.yaml"]) == 0
    assert (
        "note: environment variable SEED: SEED is 3, in place of 0 in a/results/config.yaml, line "
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--confg", "a.yaml"], "unrecognized arguments: --confg. Did you mean '--cfg'?"),
        (["--res"], "unrecognized arguments: --res"),  # not taken for --resume
        (["--DATASET.BATCH_SIZE", "64"], "A config key is written without dashes: DATASET.BATCH_SIZE"),
    ],
)
def test_unknown_options_are_answered_with_known_ones(words, hint, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["-o", "a", *words])
    assert hint in capsys.readouterr().err


def test_several_processes_are_refused(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["-o", "run", *TINY_PAIRS]) == 2
    assert (
        "WORLD_SIZE is 2: a training uses one process and one GPU at most; start it with python"
        in capsys.readouterr().err
    )
    assert not Path("run").exists()


def test_a_run_of_0_1_goes_on_by_its_folder_its_experiment_and_its_checkpoint(capsys):
    """As with a folder that 0.1 has left: its dump, and a checkpoint that holds it."""
    experiment = write_tiny(Path("mine.yaml"), {"MODEL.SOLVER.TOTAL_EPOCHS": "2"})
    assert main(["-o", "old", "--cfg", str(experiment), "DATASET.NORMALIZE_MEAN", "[0.5]"]) == 0
    config = Path("old/results/config.yaml")
    since = "CONFIG_FORMAT|BACKGROUND|FILL|FOLDER_FILES|KEEP_DUPLICATES_TOGETHER|WARM_START_HEAD|NORMALIZE_STD"
    text = "".join(line for line in config.read_text().splitlines(True) if not re.match(rf"\s*({since}):", line))
    config.write_text(text)
    state = load_checkpoint("old/latest.pt")
    save_checkpoint("old/latest.pt", {**state, "config": text})
    assert load_cfg(config).DATASET.AUGMENTATION.FILL == (0, 0, 0)
    for _ in range(2):  # what is written when it goes on for the first time is of today's format
        assert main(["-o", "old", "--cfg", str(experiment), "--resume", "DATASET.NORMALIZE_MEAN", "[0.5]"]) == 0
    assert load_cfg(config).DATASET.AUGMENTATION.FILL == (0, 0, 0)
    pairs = ["DATASET.NORMALIZE_MEAN", "[0.5]", "RESUME_PATH", "old/latest.pt"]
    assert main(["-o", "new", "--cfg", str(experiment), *pairs]) == 0
    assert load_cfg("new/results/config.yaml").DATASET.AUGMENTATION.FILL == (0, 0, 0)


def test_a_folder_whose_name_is_no_utf_8():
    raw = os.fsdecode(b"caf\xe9")
    write_pictures(Path("pictures"), ("auk", "emu"), each=5)
    os.rename("pictures", raw)
    given = dict(zip(TINY_PAIRS[::2], TINY_PAIRS[1::2], strict=True))
    given |= {"DATASET.NAME": "image_folder", "DATASET.PATH_DATA_RAW": raw, "TENSORBOARD": "true"}
    given |= {"DATASET.VALIDATION_FRACTION": "0.4"}
    assert main(["-o", "run", *(text for pair in given.items() for text in pair)]) == 0
    assert str(Path(raw).absolute()) == load_cfg("run/results/config.yaml").DATASET.PATH_DATA_RAW


def test_a_training_goes_on_when_nobody_reads_what_it_says():
    words = shlex.join([sys.executable, "-m", "trainable.train", "-o", "run", *TINY_PAIRS])
    done = subprocess.run(f"{words} | head -2", shell=True, capture_output=True, text=True, env=environment())
    assert done.stdout.splitlines()[0] == "importing torch ..." and done.stderr == ""
    assert len(RunFolder("run").read_metrics()) == 3


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_module_of_the_users_finds_its_neighbours():
    Path("sub").mkdir()
    Path("sub/sizes.py").write_text("WIDTH = 12\n")
    Path("sub/deep.py").write_text(
        "from sizes import WIDTH\nfrom torch import nn\nfrom trainable.backbone.registry import BACKBONE_REGISTRY\n"
        "class Deep(nn.Module):\n    num_features = WIDTH\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Conv2d(3, WIDTH, 3)\n"
        "    def forward(self, images):\n        return self.layer(images).amax(dim=(2, 3))\n"
        "@BACKBONE_REGISTRY.register('deep')\ndef build(backbone_cfg):\n    return Deep()\n"
    )
    pairs = ["USER_MODULES", "[sub/deep.py]", "MODEL.BACKBONE.NAME", "deep", "MODEL.SOLVER.TOTAL_EPOCHS", "1"]
    assert main(["-o", "run", *pairs, "TENSORBOARD", "false", "DATASET.VALIDATION_FRACTION", "0.9"]) == 0
