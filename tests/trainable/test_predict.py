"""Predicting with checkpoints alone: Kaggle's files, tables, folders; averages; and what is said about mistakes."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from configs.loader import load_cfg
from data.bengali import read_images
from data.build import build_dataset, processed_data
from data.unlabelled import unlabelled_images
from tests.conftest import ROOT, TINY
from trainable import export, predict
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.fit import fit
from trainable.predictor import TrainedModel
from trainable.run_folder import RunFolder

TINY_MODEL = [
    *("USER_MODULES", f"[{TINY}]", "MODEL.BACKBONE.NAME", "tiny", "MODEL.SOLVER.TOTAL_EPOCHS", "1"),
    *("TENSORBOARD", "false", "MODEL.SOLVER.OPTIMIZER.BASE_LR", "0.02"),
]


@pytest.fixture(scope="module")
def grapheme_run(kaggle_folder, tmp_path_factory) -> Path:
    """A training on synthetic graphemes."""
    folder = tmp_path_factory.mktemp("graphemes")
    cfg = load_cfg(
        None,
        [
            *(*TINY_MODEL, "DATASET.NAME", "bengali", "DATASET.PATH_DATA_RAW", str(kaggle_folder)),
            *("DATASET.PATH_DATA_PROCESSED", str(folder / "processed"), "DATASET.RESIZE_SHAPE", "[16, 16]"),
            *("DATASET.CROP_TO_CONTENT", "true", "DATASET.AUGMENTATION.ROTATION_PROB", "1"),
        ],
    )
    processed_data(cfg.DATASET).make()
    fit(cfg, lambda row, checkpoint: None, RunFolder(folder / "run"))
    shutil.rmtree(folder / "processed")  # the checkpoint alone is enough
    return folder / "run"


@pytest.fixture(scope="module")
def picture_run(tmp_path_factory) -> tuple[Path, Path]:
    """Pictures in a table with two tasks, and a training on them."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(60):
        is_bright, is_red = number % 2, number % 3 == 0
        picture = rng.integers(0, 80, (20, 30, 3), dtype=np.uint8) + 170 * is_bright
        picture[:, :, :2] //= 1 + 3 * is_red
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        rows.append({"image": f"{number}.png", "light": ["dark", "bright"][is_bright], "red": int(is_red)})
    pd.DataFrame(rows).to_csv(folder / "table.csv", index=False)
    cfg = load_cfg(
        None,
        [
            *("USER_MODULES", f"[{TINY}]", "MODEL.BACKBONE.NAME", "tiny", "TENSORBOARD", "false"),
            *("MODEL.SOLVER.TOTAL_EPOCHS", "6", "MODEL.SOLVER.OPTIMIZER.BASE_LR", "0.05"),
            *("DATASET.NAME", "image_table", "DATASET.TABLE.PATH", str(folder / "table.csv")),
            *("DATASET.TABLE.LABEL_COLUMNS", "[light, red]", "DATASET.PATH_DATA_RAW", str(folder)),
            *("DATASET.PATH_DATA_PROCESSED", str(folder / "processed"), "DATASET.RESIZE_SHAPE", "[16, 16]"),
            *("DATASET.BATCH_SIZE", "8", "MODEL.SOLVER.EMA_DECAY", "0.9"),
        ],
    )
    processed_data(cfg.DATASET).make()
    rows = fit(cfg, lambda row, checkpoint: None, RunFolder(folder / "run"))
    assert rows[-1]["val_acc"] > 0.9
    return folder, folder / "run"


def run(*arguments: object) -> int:
    return predict.main(["--allow-code", *(str(argument) for argument in arguments)])


def test_a_submission_has_kaggles_rows_in_kaggles_order(grapheme_run, kaggle_folder, capsys):
    assert run("--checkpoint", grapheme_run / "best.pt", "--data", kaggle_folder, "-o", "a.csv") == 0
    assert "8 images, 1 model, 1 version of each image: a.csv" in capsys.readouterr().out
    ours, sample = pd.read_csv("a.csv"), pd.read_csv(kaggle_folder / "sample_submission.csv")
    assert ours.columns.tolist() == ["row_id", "target"]
    assert ours["row_id"].tolist() == sample["row_id"].tolist() and len(ours) == 24
    for task, count in (("grapheme_root", 168), ("vowel_diacritic", 11), ("consonant_diacritic", 7)):
        assert ours["target"][ours["row_id"].str.endswith(task)].between(0, count - 1).all()

    shutil.copytree(kaggle_folder, "data")
    sample = sample.sample(frac=1, random_state=0)
    sample.to_csv("data/sample_submission.csv", index=False)
    assert run("--checkpoint", grapheme_run / "best.pt", "--data", "data", "-o", "b.csv") == 0
    reordered = pd.read_csv("b.csv")
    assert reordered["row_id"].tolist() == sample["row_id"].tolist() != ours["row_id"].tolist()
    assert reordered.set_index("row_id").loc[ours["row_id"], "target"].tolist() == ours["target"].tolist()


def test_a_table_gets_class_names_and_probabilities(picture_run):
    folder, trained = picture_run
    assert run("--checkpoint", trained / "best.pt", "--data", folder / "table.csv", "-o", "out.parquet") == 0
    out, table = pd.read_parquet("out.parquet"), pd.read_csv(folder / "table.csv")
    assert out.columns.tolist() == [
        *("image", "light", "light_probability", "red", "red_probability"),
        *("light=bright", "light=dark", "red=0", "red=1"),
    ]
    assert out["image"].tolist() == table["image"].tolist()
    assert np.allclose(out["light=bright"] + out["light=dark"], 1) and np.allclose(out["red=0"] + out["red=1"], 1)
    assert (out["light_probability"] == out[["light=bright", "light=dark"]].max(axis=1)).all()
    assert (out["light"] == table["light"]).mean() > 0.9
    assert (out["red"] == table["red"].astype(str)).mean() > 0.8


def test_predictions_are_those_of_the_evaluation(picture_run, monkeypatch):
    folder, trained = picture_run
    assert run("--checkpoint", trained / "latest.pt", "--data", folder / "table.csv", "-o", "out.csv") == 0
    state = load_checkpoint(trained / "latest.pt")
    with monkeypatch.context() as there:
        there.chdir(ROOT)  # where the training was started, and where its paths start
        data = build_dataset(load_cfg(trained / "results" / "config.yaml").DATASET)
    out = pd.read_csv("out.csv", dtype=str).iloc[data.val_indices]
    table = pd.read_csv(folder / "table.csv", dtype=str).iloc[data.val_indices]
    accuracy = np.mean([(out[task] == table[task]).mean() for task in ("light", "red")])
    assert accuracy == pytest.approx(state["metrics"][-1]["val_acc"])
    assert state["ema"]  # which is what was evaluated, and what is predicted with


def test_a_folder_of_images(picture_run):
    folder, trained = picture_run
    Path("new/more").mkdir(parents=True)
    shutil.copy(folder / "0.png", "new/zero.png")
    shutil.copy(folder / "1.png", "new/more/one.png")
    assert run("--checkpoint", trained / "best.pt", "--data", "new", "-o", "out.csv") == 0
    assert pd.read_csv("out.csv")["image"].tolist() == ["more/one.png", "zero.png"]


def test_several_checkpoints_and_batches_are_averaged(picture_run):
    folder, trained = picture_run
    state = load_checkpoint(trained / "best.pt")
    other = {name: value + 0.1 if value.is_floating_point() else value for name, value in state["ema"].items()}
    save_checkpoint("other.pt", {**state, "ema": other})
    common = ("--data", folder / "table.csv", "--batch-size", 7)
    assert run("--checkpoint", trained / "best.pt", *common, "-o", "a.parquet") == 0
    assert run("--checkpoint", "other.pt", *common, "-o", "b.parquet") == 0
    assert run("--checkpoint", trained / "best.pt", "other.pt", *common, "-o", "both.parquet") == 0
    a, b, both = (pd.read_parquet(f"{name}.parquet")["red=1"] for name in ("a", "b", "both"))
    assert not np.allclose(a, b)
    assert np.allclose(both, (a + b) / 2)


def test_augmented_versions_change_probabilities_and_repeat(grapheme_run, kaggle_folder):
    model = TrainedModel(grapheme_run / "best.pt", allow_code=True)
    images = [cv2.rectangle(np.zeros((137, 236), np.uint8), (30, 20), (60 + 40 * n, 90), 255, -1) for n in range(3)]
    plain, augmented, again = (model.probabilities(images, seed=0, augmented=n) for n in (0, 3, 3))
    assert all(np.array_equal(a, b) for a, b in zip(augmented, again, strict=True))
    assert not np.array_equal(plain[0], augmented[0])
    assert np.allclose(augmented[0].sum(axis=1), 1)


def test_augmented_versions_need_augmentation(picture_run, capsys):
    folder, trained = picture_run
    arguments = ("--checkpoint", trained / "best.pt", "--data", folder / "table.csv", "-o", "out.csv")
    assert run(*arguments, "--tta", 2) == 2
    assert "--tta: averages over the augmentations of the training, but this model" in capsys.readouterr().err


def test_an_unreadable_image_is_named(picture_run, capsys):
    _, trained = picture_run
    Path("new").mkdir()
    Path("new/bad.png").write_text("no image")
    assert run("--checkpoint", trained / "best.pt", "--data", "new", "-o", "out.csv") == 2
    assert "new/bad.png: cannot be read as an image" in capsys.readouterr().err
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "none.pt"], "--checkpoint: none.pt: no such file"),
        (["--data", "nowhere"], "--data: there is no nowhere"),
        (["--data", "moved.csv"], "moved.csv, row 1: "),
        (["--data", "moved.csv"], "(paths in the table start at its own folder, "),
        (["-o", "out.txt"], "-o: found out.txt, allowed is a name that ends in .csv or .parquet"),
        (["-o", "there.csv"], "-o: there.csv is there already"),
        (["-o", "none/out.csv"], "-o: there is no folder"),
        (["--tta", "-1"], "--tta: found -1, allowed is at least 0"),
        (["--batch-size", "0"], "--batch-size: found 0, allowed is at least 1"),
        (["--checkpoint", "there.csv"], "--checkpoint: there.csv: damaged, or no checkpoint"),
        (["--data", "empty"], "--data: empty holds no images"),
        (["--data", "one.png"], "--data: one.png is an image; give the folder it is in"),
        (["--checkpoint", "there.csv"], "; those of a training are best.pt and latest.pt in its folder"),
    ],
)
def test_mistakes(picture_run, arguments, message, capsys):
    folder, trained = picture_run
    Path("there.csv").write_text("a,b\n")
    Path("empty").mkdir()
    Path("one.png").touch()
    shutil.copy(folder / "table.csv", "moved.csv")
    given = {"--checkpoint": str(trained / "best.pt"), "--data": str(folder / "table.csv"), "-o": "out.csv"}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert run(*(text for pair in given.items() for text in pair)) == 2
    assert message in capsys.readouterr().err


def test_kaggle_files_that_do_not_fit(grapheme_run, kaggle_folder, capsys):
    shutil.copytree(kaggle_folder, "data")
    Path("data/test_image_data_3.parquet").unlink()
    assert run("--checkpoint", grapheme_run / "best.pt", "--data", "data", "-o", "out.csv") == 2
    assert "6 rows have no image in test_image_data_*.parquet, Test_6_consonant_diacritic" in capsys.readouterr().err
    Path("data/sample_submission.csv").unlink()
    assert run("--checkpoint", grapheme_run / "best.pt", "--data", "data", "-o", "out.csv") == 2
    assert "data has no sample_submission.csv, which says what to predict" in capsys.readouterr().err


def test_models_of_other_classes_are_not_averaged(grapheme_run, picture_run, capsys):
    folder, trained = picture_run
    checkpoints = (trained / "best.pt", grapheme_run / "best.pt")
    assert run("--checkpoint", *checkpoints, "--data", folder / "table.csv", "-o", "out.csv") == 2
    assert "has other tasks or classes than" in capsys.readouterr().err


def test_files_that_a_training_started_from_may_be_gone(picture_run):
    folder, trained = picture_run
    state = load_checkpoint(trained / "best.pt")
    config = state["config"].replace("WARM_START_PATH: ''", "WARM_START_PATH: /gone/start.pt")
    assert config != state["config"]
    save_checkpoint("moved.pt", {**state, "config": config})
    assert run("--checkpoint", "moved.pt", "--data", folder / "table.csv", "-o", "out.csv") == 0


def test_an_exported_model_gives_the_same_logits(picture_run):
    _, trained = picture_run
    assert export.main(["--allow-code", "--checkpoint", str(trained / "best.pt"), "-o", "model.pt2"]) == 0
    program = torch.export.load("model.pt2").module()
    model = TrainedModel(trained / "best.pt", allow_code=True).model.cpu()
    images = torch.rand(7, 3, 16, 16)
    with torch.no_grad():
        for ours, theirs in zip(model(images), program(images), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-5)
    description = pd.read_json("model.json", typ="series")
    assert (description["height"], description["channels"], description["mean"]) == (16, 3, [0.5])
    assert description["classes"] == {"light": ["bright", "dark"], "red": ["0", "1"]}


def test_mistakes_of_an_export(picture_run, capsys):
    Path("there.pt2").touch()
    for arguments, message in (
        (["--checkpoint", "none.pt", "-o", "model.pt2"], "--checkpoint: none.pt: no such file"),
        (["--checkpoint", str(picture_run[1] / "best.pt"), "-o", "there.pt2"], "-o: there.pt2 is there already"),
        (["--checkpoint", str(picture_run[1] / "best.pt"), "-o", "model.onnx"], "allowed is a name that ends in .pt2"),
    ):
        assert export.main(arguments) == 2
        assert message in capsys.readouterr().err


def test_pictures_of_graphemes_are_inverted_as_the_training_images_were(grapheme_run, kaggle_folder):
    cfg = TrainedModel(grapheme_run / "best.pt", allow_code=True).cfg.DATASET
    name, inverted = next(read_images(kaggle_folder / "test_image_data_0.parquet"))
    Path("scans").mkdir()
    cv2.imwrite(f"scans/{name}.png", 255 - inverted)  # as it is in the parquet: dark ink on light paper
    (_, image), *_ = unlabelled_images(Path("scans"), cfg)[0]
    assert np.array_equal(image[:, :, 0], inverted)


def test_kaggle_files_need_a_model_of_graphemes(picture_run, kaggle_folder, capsys):
    assert run("--checkpoint", picture_run[1] / "best.pt", "--data", kaggle_folder, "-o", "out.csv") == 2
    assert "holds Kaggle's graphemes, but the model was trained on image_table" in capsys.readouterr().err


def test_a_folder_is_read_as_in_training(picture_run, capsys):
    folder, trained = picture_run
    Path("new/.hidden").mkdir(parents=True)
    shutil.copy(folder / "0.png", "new/.hidden/0.png")
    shutil.copy(folder / "1.png", os.fsdecode(b"new/caf\xe9.png"))
    Path("elsewhere").mkdir()
    shutil.copy(folder / "2.png", "elsewhere/2.png")
    os.symlink("../elsewhere", "new/linked")
    Path("new/anim.gif").touch()
    os.mkfifo("new/pipe.png")
    cv2.imencode(".png", np.zeros((9, 9, 4), np.uint8))[1].tofile("new/transparent.png")
    assert run("--checkpoint", trained / "best.pt", "--data", "new", "-o", "out.csv") == 0
    assert pd.read_csv("out.csv")["image"].tolist() == [r"caf\xe9.png", "linked/2.png", "transparent.png"]
    printed = capsys.readouterr().out
    assert "3 images; left out: 1 gif, 1 hidden folder, 1 special file" in printed
    assert "1 image with transparency, shown on DATASET.BACKGROUND [255, 255, 255]" in printed
    assert run("--checkpoint", trained / "best.pt", "--data", "new", "-o", "out.parquet") == 0


def test_unreadable_images_may_be_skipped(picture_run, capsys):
    folder, trained = picture_run
    Path("new").mkdir()
    shutil.copy(folder / "1.png", "new/1.png")
    for name in ("a.png", "b.png"):
        Path("new", name).write_text("no image")
    common = ("--checkpoint", trained / "best.pt", "--data", "new", "-o", "out.csv")
    assert run(*common) == 2
    error = capsys.readouterr().err
    assert "new/a.png: cannot be read" in error and "new/b.png: cannot be read" in error
    assert run(*common, "--skip-unreadable") == 0
    assert "2 images left out, which cannot be read: a.png, b.png" in capsys.readouterr().out


def test_models_that_read_images_otherwise_are_not_averaged(picture_run, capsys):
    folder, trained = picture_run
    state = load_checkpoint(trained / "best.pt")
    text = state["config"].replace("BACKGROUND: [255, 255, 255]", "BACKGROUND: null")
    save_checkpoint("other.pt", {**state, "config": text})
    checkpoints = (trained / "best.pt", "other.pt")
    assert run("--checkpoint", *checkpoints, "--data", folder / "table.csv", "-o", "out.csv") == 2
    assert "was trained with DATASET.BACKGROUND None, and" in capsys.readouterr().err


def test_a_table_to_predict_from_opens_no_file_outside_its_folder(picture_run, capsys):
    folder, trained = picture_run
    Path("table.csv").write_text(f"image\n{folder}/0.png\n")
    common = ("--checkpoint", trained / "best.pt", "--data", "table.csv", "-o", "out.csv")
    assert run(*common) == 2
    assert "0.png leads out of" in capsys.readouterr().err
    assert run("DATASET.TABLE.PATHS_OUTSIDE", "true", *common) == 0
