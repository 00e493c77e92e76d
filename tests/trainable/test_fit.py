"""The training loop: what it leaves, that it repeats exactly, resumes exactly, and says when it cannot go on."""

import contextlib
import csv
import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from configs.errors import ConfigError
from configs.loader import load_cfg
from configs.metric_names import METRICS, TIMES
from data.build import build_dataset
from tests.conftest import TINY, TINY_PAIRS, write_pictures
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.fit import fit
from trainable.run_folder import RunFolder
from trainable.update import TrainingDivergedError


def tiny_cfg(*pairs: str):
    given = dict(zip(TINY_PAIRS[::2], TINY_PAIRS[1::2], strict=True)) | dict(zip(pairs[::2], pairs[1::2], strict=True))
    return load_cfg(None, [text for pair in given.items() for text in pair])


def train(
    name: str,
    *pairs: str,
    resume: bool = False,
    stop_after: int = 99,
    reported_epochs: int | None = None,
    is_trial: bool = False,
):
    """Trains in a folder; returns the reported rows without their seconds."""
    seen = []

    def report(row, checkpoint):
        assert load_checkpoint(checkpoint)["epoch"] >= row["epoch"]
        seen.append({key: value for key, value in row.items() if key not in TIMES})
        if row["epoch"] == stop_after:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        fit(tiny_cfg(*pairs), report, RunFolder(name, is_trial), resume=resume, reported_epochs=reported_epochs)
    return seen


def test_files_and_metrics():
    rows = train("run", "TENSORBOARD", "true")
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert {"results", "latest.pt", "best.pt", "model_backups", "tensorboard"} <= {
        p.name for p in Path("run").iterdir()
    }
    assert sorted(p.name for p in Path("run/model_backups").iterdir()) == [f"epoch_000{n}.pt" for n in (1, 2, 3)]
    with open("run/results/metrics.csv") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == tuple(METRICS)
        for row, expected in zip(reader, rows, strict=True):
            assert {key: float(row[key]) for key in expected} == expected  # all digits are there
    assert list(Path("run/tensorboard").iterdir())
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


def test_the_config_it_leaves_trains_to_the_same_numbers():
    rows = train("run")
    cfg = load_cfg("run/results/config.yaml")
    again = []
    torch.manual_seed(123)  # whatever happened before in the process
    torch.rand(10)
    fit(cfg, lambda row, _: again.append({k: v for k, v in row.items() if k not in TIMES}), RunFolder("again"))
    assert again == rows


def test_random_numbers_that_a_users_module_draws_when_it_is_imported_change_nothing():
    Path("drawing.py").write_text("import torch\nLAYER = torch.nn.Linear(50, 50)\n")
    modules = ("USER_MODULES", f"[{TINY}, drawing.py]")
    assert train("first", *modules) == train("second", *modules) == train("without")


def test_the_seed_matters():
    assert train("a") != train("b", "SEED", "1")


@pytest.mark.parametrize("schedule", ["reduce_on_plateau", "OneCycleLR", "multi_steps"])
def test_a_resumed_run_equals_an_uninterrupted_one(schedule):
    pairs = ("MODEL.SOLVER.SCHEDULER.NAME", schedule, "DATASET.AUGMENTATION.MIXUP_ALPHA", "0.4")
    whole = train("whole", *pairs)
    first = train("parts", *pairs, stop_after=1)
    rest = train("parts", *pairs, resume=True)
    assert first + rest == whole
    assert [row["epoch"] for row in RunFolder("parts").read_metrics()] == [1, 2, 3]
    state, expected = load_checkpoint("parts/latest.pt"), load_checkpoint("whole/latest.pt")
    assert all(torch.equal(state["model"][name], expected["model"][name]) for name in expected["model"])


def test_epochs_that_were_not_reported_are_reported_without_being_trained_again():
    whole = train("run")
    assert train("run", resume=True, reported_epochs=1) == whole[1:]
    assert train("run", resume=True) == []


def test_damage_to_the_latest_checkpoint_costs_only_its_epoch(caplog):
    whole = train("run", stop_after=2) + train("other")[2:]
    latest = Path("run/latest.pt")
    latest.write_bytes(latest.read_bytes()[:-50])
    Path("run/model_backups/epoch_0002.pt").write_bytes(b"")
    assert train("run", resume=True) == whole[1:]
    assert "latest.pt: damaged" in caplog.text
    assert "going on after epoch 1, with run/model_backups/epoch_0001.pt" in caplog.text


def test_damage_to_the_latest_checkpoint_of_a_trial_costs_only_its_epoch():
    def trial(stop_after=99):
        return train("trial", resume=True, stop_after=stop_after, is_trial=True)

    whole = train("whole")
    assert trial(stop_after=2) == whole[:2]
    with open("trial/latest.pt", "r+b") as file:  # and best.pt with it: both are names of one file
        file.truncate(1000)
    assert trial() == whole[1:]


def test_a_run_killed_before_it_kept_a_backup_keeps_it_when_it_goes_on():
    train("run", stop_after=2)
    Path("run/model_backups/epoch_0002.pt").unlink()
    train("run", resume=True)
    assert [path.name for path in RunFolder("run").backup_files()] == [f"epoch_000{n}.pt" for n in (1, 2, 3)]


def test_resume_path_goes_on_in_another_folder():
    whole = train("whole")
    train("first", stop_after=2)
    assert train("second", "RESUME_PATH", str(Path("first/latest.pt"))) == whole[2:]
    assert len(RunFolder("second").read_metrics()) == 3
    with pytest.raises(ConfigError, match=r"RESUME_PATH: found 'nothing.pt', allowed is the path of an existing file"):
        train("third", "RESUME_PATH", "nothing.pt")
    with pytest.raises(ConfigError, match=r"but MODEL.HEAD.HIDDEN_DIMS was \(16,\) and is \(3,\) now"):
        train("fourth", "RESUME_PATH", "first/latest.pt", "MODEL.HEAD.HIDDEN_DIMS", "[3]")
    Path("text.pt").write_text("no checkpoint")
    with pytest.raises(ConfigError, match=r"RESUME_PATH: cannot go on from it: .*damaged, or no checkpoint"):
        train("fifth", "RESUME_PATH", "text.pt")


def test_a_run_killed_before_its_first_checkpoint_still_goes_on_from_its_resume_path():
    whole = train("whole")
    train("first", stop_after=2)
    Path("second").mkdir()
    assert train("second", "RESUME_PATH", "first/latest.pt", resume=True) == whole[2:]


def test_the_best_epoch_is_kept_by_its_metric():
    for metric, better in (("train_loss", min), ("val_acc", max)):
        rows = train(metric, "BEST_METRIC", metric, "MODEL.SOLVER.OPTIMIZER.BASE_LR", "0.05")
        best = better(rows, key=lambda row: row[metric])
        assert load_checkpoint(f"{metric}/best.pt")["epoch"] == best["epoch"]


@pytest.mark.parametrize(("limit", "kept"), [("0", 0), ("2", 2), ("null", 3)])
def test_the_number_of_backups(limit, kept):
    train("run", "MODEL_BACKUPS", limit)
    assert len(RunFolder("run").backup_files()) == kept


def test_a_metric_that_is_not_finite_ends_the_run():
    with pytest.raises(TrainingDivergedError, match=r"epoch 1: train_loss is nan, .* val_loss is nan"):
        train("run", "MODEL.SOLVER.LOSS.NAME", "nan_loss")
    assert not Path("run/latest.pt").exists()


def test_checkpoints_carry_config_and_class_names():
    train("run")
    state = load_checkpoint("run/best.pt")
    assert state["classes"] == {"digit": [str(n) for n in range(10)]}
    assert "INPUT_DIM: 8  (derived)" in state["config"]


def test_secrets_are_in_no_file(monkeypatch):
    monkeypatch.setenv("GCP_KEY", "s3cret")
    train("run", "TENSORBOARD", "true")
    files = [path for path in Path("run").rglob("*") if path.is_file()]
    assert files and not any(b"s3cret" in path.read_bytes() for path in files)


def test_reduced_precision_trains():
    rows = train("run", "MODEL.SOLVER.AMP", "bf16")
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


@pytest.mark.gpu
@pytest.mark.parametrize("amp", ["none", "bf16", "fp16"])
def test_deterministic_on_a_gpu(amp):
    pairs = ("DETERMINISTIC", "true", "MODEL.SOLVER.AMP", amp)
    whole = train("whole", *pairs)
    assert train("again", *pairs) == whole
    assert train("parts", *pairs, stop_after=1) + train("parts", *pairs, resume=True) == whole


@pytest.mark.gpu
def test_deterministic_on_a_gpu_after_a_run_that_was_not():
    code = (
        "from tests.trainable.test_fit import train\n"
        "train('before')\n"
        "first, second = (train(name, 'DETERMINISTIC', 'true') for name in ('first', 'second'))\n"
        "assert first == second\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # in a process that no other test has touched


SOLVER_OPTIONS = {
    "accumulation": ("MODEL.SOLVER.ACCUMULATION_STEPS", "3"),
    "average": ("MODEL.SOLVER.EMA_DECAY", "0.9"),
    "clipping": ("MODEL.SOLVER.CLIP_GRAD_NORM", "0.1"),
    "channels last": ("MODEL.SOLVER.CHANNELS_LAST", "true"),
    "fp16": ("MODEL.SOLVER.AMP", "fp16"),
    "ohem": ("MODEL.SOLVER.LOSS.OHEM_RATE", "0.5"),
    "class balance": ("MODEL.SOLVER.LOSS.CLASS_BALANCED_BETA", "0.9"),
    "consistency": ("MODEL.SOLVER.LOSS.JSD_WEIGHT", "12", "DATASET.AUGMENTATION.AUGMIX.PROB", "1"),
    "cutmix": ("DATASET.AUGMENTATION.CUTMIX_ALPHA", "1", "DATASET.AUGMENTATION.MIXUP_ALPHA", "0.4"),
    "augmix": ("DATASET.AUGMENTATION.AUGMIX.PROB", "0.5"),
    "timm's optimizer": ("MODEL.SOLVER.OPTIMIZER.NAME", "lamb"),
    "backbone's rate": ("MODEL.SOLVER.OPTIMIZER.BACKBONE_LR_FACTOR", "0.1", "MODEL.SOLVER.SCHEDULER.NAME", "cosine"),
    "a head each": ("MODEL.META_ARCHITECTURE", "one_head_per_task"),
}


@pytest.mark.parametrize("option", SOLVER_OPTIONS)
def test_every_option_trains_differently_and_resumes_exactly(option):
    pairs = SOLVER_OPTIONS[option]
    whole = train("whole", *pairs)
    train("resumed", *pairs, stop_after=1)
    assert train("resumed", *pairs, resume=True) == whole[1:]
    assert all(row["train_loss"] < 4 or option == "consistency" for row in whole)
    if option not in ("channels last", "a head each"):  # the same numbers, differently arranged
        assert whole != train("plain")


def test_the_average_is_what_is_evaluated():
    with_average, without = train("average", "MODEL.SOLVER.EMA_DECAY", "0.99"), train("plain")
    for ours, theirs in zip(with_average, without, strict=True):
        assert ours["train_loss"] == theirs["train_loss"]  # it does not touch the training
        assert ours["val_loss"] != theirs["val_loss"]


def test_tables_of_tasks_and_classes_and_the_picture_of_confusions():
    rows = train("run")
    tasks = pd.read_csv("run/results/tasks.csv")
    assert tasks.columns.tolist() == ["epoch", "task", "acc", "recall"]
    assert tasks["acc"].tolist() == [row["val_acc"] for row in rows]
    for epoch in (1, 2, 3):
        table = pd.read_parquet(f"run/results/classes/epoch_{epoch:04d}.parquet")
        assert table["recall"].mean() == pytest.approx(rows[epoch - 1]["val_score"])
        assert table["class"].tolist() == [str(digit) for digit in range(10)]
    assert Path("run/results/confusion.png").stat().st_size > 5000


def test_a_resumed_run_has_the_tables_of_an_uninterrupted_one():
    train("whole")
    train("resumed", stop_after=2)
    train("resumed", resume=True)
    for name in ("results/tasks.csv", "results/classes/epoch_0003.parquet"):
        assert Path("whole", name).read_bytes() == Path("resumed", name).read_bytes()


def test_tensorboard_shows_inputs_graph_scalars_and_hyperparameters():
    train("run", "TENSORBOARD", "true")
    written = b"".join(path.read_bytes() for path in Path("run/tensorboard").rglob("events.*"))
    for what in (b"inputs", b"aten::_convolution", b"val_score", b"digit/recall", b"MODEL.HEAD.DROPOUT", b"lr"):
        assert what in written, what


def test_a_trial_leaves_out_what_takes_long():
    fit(tiny_cfg("TENSORBOARD", "true"), lambda row, checkpoint: None, RunFolder("trial", is_trial=True))
    written = b"".join(path.read_bytes() for path in Path("trial/tensorboard").rglob("events.*"))
    assert b"val_score" in written and b"aten::_convolution" not in written
    assert not Path("trial/results/confusion.png").exists()
    assert [path.name for path in RunFolder("trial").backup_files()] == ["epoch_0002.pt", "epoch_0003.pt"]


def test_weights_of_tasks_that_do_not_fit():
    with pytest.raises(ConfigError, match=r"EVALUATION.TASK_WEIGHTS: found 2, expected one for each of 1 tasks"):
        train("run", "EVALUATION.TASK_WEIGHTS", "[1, 2]")


def test_a_warm_start_begins_better_than_nothing():
    first = train("first")
    again = train("again", "MODEL.WARM_START_PATH", "first/best.pt", "DATASET.RESIZE_SHAPE", "[10, 10]")
    assert again[0]["val_loss"] < first[0]["val_loss"]


def test_checkpoints_of_another_version_are_not_begun_anew_over():
    train("run", stop_after=2)
    state = load_checkpoint("run/latest.pt")
    torch.save({**state, "format": 1, "sha256": ""}, "run/latest.pt")
    before = Path("run/latest.pt").read_bytes()
    with pytest.raises(
        ConfigError, match=r"latest.pt: has format 1, this version reads format 3; use the version that"
    ):
        train("run", resume=True)
    assert Path("run/latest.pt").read_bytes() == before


@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a C++ compiler")
def test_a_compiled_model_trains_to_about_the_same_numbers():
    plain, compiled = train("plain"), train("compiled", "MODEL.SOLVER.COMPILE", "true")
    assert compiled[-1]["train_loss"] == pytest.approx(plain[-1]["train_loss"], rel=0.05)
    assert set(load_checkpoint("compiled/latest.pt")["model"]) == set(load_checkpoint("plain/latest.pt")["model"])


def test_a_run_does_not_go_on_with_other_images():
    write_pictures(Path("birds"), ("cat", "dog"), each=20)
    pairs = ("DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "birds")
    train("run", *pairs, stop_after=1)
    Path("birds/cat/0.png").unlink()
    with pytest.raises(ConfigError, match="are not those that this training began with: going on could validate"):
        train("run", *pairs, resume=True)
    assert load_checkpoint("run/latest.pt")["epoch"] == 1


def test_an_image_that_vanishes_after_it_was_read_is_missed_no_more_when_it_is_back():
    write_pictures(Path("birds"), ("cat", "dog"), each=20)
    pairs = ("DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "birds")
    whole = train("whole", *pairs)
    image = sorted(Path("birds").rglob("*.png"))[build_dataset(tiny_cfg(*pairs).DATASET).train_indices[0]]

    def interrupt(row, checkpoint):
        raise KeyboardInterrupt

    def on_step(epoch, step, steps):
        if step == steps:  # the training images of the epoch are read, its checkpoint is still to come
            image.rename("away.png")

    with contextlib.suppress(KeyboardInterrupt):
        fit(tiny_cfg(*pairs), interrupt, RunFolder("run"), on_step=on_step)
    Path("away.png").rename(image)
    assert train("run", *pairs, resume=True) == whole[1:]


def test_a_checkpoint_that_cannot_be_read_now_is_not_trained_over(monkeypatch):
    def cannot_be_read(path):
        raise OSError(errno.EIO, "no answer", str(path))

    train("run", stop_after=2)
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", cannot_be_read)
        with pytest.raises(OSError, match="no answer"):
            train("run", resume=True)
    assert {path: path.read_bytes() for path in before} == before
    assert [row["epoch"] for row in train("run", resume=True, reported_epochs=0)] == [1, 2, 3]


def test_a_picture_that_a_kill_left_out_is_drawn_when_the_run_is_resumed():
    train("run")
    Path("run/results/confusion.png").unlink()
    train("run", resume=True)
    assert Path("run/results/confusion.png").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["model"].popitem(),
        lambda state: state["model"].update(dict.fromkeys(state["model"], 0.5)),
        lambda state: state["optimizer"]["state"].update({0: {"step": "x"}}),
        lambda state: state["rng"].pop("numpy"),
        lambda state: state["metrics"][0].update(val_score=float("nan")),
        lambda state: state["metrics"].pop(),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(change):
    train("run", stop_after=2)
    state = load_checkpoint("run/latest.pt")
    change(state)
    save_checkpoint("run/latest.pt", {name: value for name, value in state.items() if name != "format"})
    with pytest.raises(ConfigError, match=r"run/latest\.pt: does not fit: \w+: .*; use a checkpoint as a training"):
        train("run", resume=True)
