"""Evaluating checkpoints on labelled images: folders, tables, Kaggle's files; classes by name."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from data.build import build_dataset, processed_data
from data.labelled import _name_of
from tests.conftest import ROOT, TINY
from trainable import evaluate
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.evaluate import measure
from trainable.fit import fit
from trainable.run_folder import RunFolder

CLASSES = ("blue", "green", "red")


def draw(folder: Path, each: int, seed: int, classes=CLASSES) -> None:
    """Pictures of one colour, somewhat noisy."""
    rng = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            picture = rng.integers(0, 120, (20, 24, 3), dtype=np.uint8)
            picture[:, :, CLASSES.index(name) if name in CLASSES else 0] += 110
            cv2.imwrite(str(folder / name / f"{number}.png"), picture)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A training on a folder of colours."""
    folder = tmp_path_factory.mktemp("colours")
    draw(folder / "raw", each=20, seed=0)
    cfg = load_cfg(
        None,
        [
            *("USER_MODULES", f"[{TINY}]", "MODEL.BACKBONE.NAME", "tiny", "TENSORBOARD", "false"),
            *("MODEL.SOLVER.TOTAL_EPOCHS", "5", "MODEL.SOLVER.OPTIMIZER.BASE_LR", "0.05"),
            *("DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", str(folder / "raw")),
            *("DATASET.PATH_DATA_PROCESSED", str(folder / "processed"), "DATASET.RESIZE_SHAPE", "[16, 16]"),
            *("DATASET.BATCH_SIZE", "8"),
        ],
    )
    rows = fit(cfg, lambda row, checkpoint: None, RunFolder(folder / "run"))
    assert rows[-1]["val_acc"] > 0.9
    return folder


def run(*arguments: object) -> int:
    return evaluate.main(["--allow-code", *(str(argument) for argument in arguments)])


def test_a_folder_of_classes(trained, capsys):
    draw(Path("held"), each=8, seed=1)
    assert run("--checkpoint", trained / "run/best.pt", "--data", "held", "-o", "out") == 0
    printed = capsys.readouterr().out
    assert "24 images of 3 classes" in printed and "24 images, 1 model, 1 version of each image: score " in printed
    assert sorted(path.name for path in Path("out").iterdir()) == [
        *("classes.csv", "confusion.png", "metrics.csv", "predictions.csv", "tasks.csv")
    ]
    predictions = pd.read_csv("out/predictions.csv")
    assert predictions.columns[:4].tolist() == ["image", "class_label", "class", "class_probability"]
    assert predictions["image"][0] == "blue/0.png" and predictions["class_label"][0] == "blue"
    right = predictions["class"] == predictions["class_label"]
    metrics = pd.read_csv("out/metrics.csv").iloc[0]
    assert metrics["images"] == 24 and metrics["acc"] == pytest.approx(right.mean()) and metrics["acc"] > 0.8
    table = pd.read_csv("out/classes.csv").set_index("class")
    assert table["images"].tolist() == [8, 8, 8]
    assert metrics["score"] == pytest.approx(table["recall"].mean())
    probability = [row[f"class={row['class_label']}"] for _, row in predictions.iterrows()]
    assert metrics["cross_entropy"] == pytest.approx(-np.log(probability).mean(), rel=1e-5)


def test_it_finds_what_the_training_found(trained, monkeypatch):
    state = load_checkpoint(trained / "run/latest.pt")
    with monkeypatch.context() as there:
        there.chdir(ROOT)
        data = build_dataset(load_cfg(trained / "run/results/config.yaml").DATASET)
    files = [file for name in CLASSES for file in sorted((trained / "raw" / name).iterdir())]
    for index in data.val_indices:
        target = Path("val") / files[index].relative_to(trained / "raw")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files[index], target)
    assert run("--checkpoint", trained / "run/latest.pt", "--data", "val", "-o", "out") == 0
    metrics = pd.read_csv("out/metrics.csv").iloc[0]
    assert metrics["score"] == pytest.approx(state["metrics"][-1]["val_score"])
    assert metrics["cross_entropy"] == pytest.approx(state["metrics"][-1]["val_loss"], rel=1e-4)


def test_classes_are_matched_by_name_and_unknown_ones_are_told(trained, capsys):
    draw(Path("held"), each=4, seed=1, classes=("red", "blue", "gren"))
    Path("held/blue/.hidden").mkdir()
    assert run("--checkpoint", trained / "run/best.pt", "--data", "held", "-o", "out") == 0
    printed = capsys.readouterr().out
    assert "12 images of 3 classes; left out: 1 hidden folder" in printed
    assert (
        "class: the model does not know gren (4). Did you mean 'green'? Predicted, but in no metric: 4 images"
        in printed
    )
    assert "class: no image is of green (1 of 3 classes)" in printed
    table = pd.read_csv("out/classes.csv").set_index("class")
    assert table["images"].to_dict() == {"blue": 4, "green": 0, "red": 4} and table["recall"]["red"] > 0.7
    assert len(pd.read_csv("out/predictions.csv")) == 12


def test_a_table(trained):
    draw(Path("held"), each=4, seed=1)
    rows = [{"image": f"held/{name}/{number}.png", "class": name} for name in CLASSES for number in range(4)]
    pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv("table.csv", index=False)
    assert run("--checkpoint", trained / "run/best.pt", "--data", "table.csv", "-o", "out") == 0
    predictions = pd.read_csv("out/predictions.csv")
    assert predictions["image"].str.split("/").str[1].tolist() == predictions["class_label"].tolist()
    assert pd.read_csv("out/metrics.csv")["acc"][0] > 0.7


def test_several_models_are_averaged(trained):
    draw(Path("held"), each=4, seed=1)
    state = load_checkpoint(trained / "run/best.pt")
    other = {name: value * 0.5 if value.is_floating_point() else value for name, value in state["model"].items()}
    save_checkpoint("other.pt", {**state, "model": other})
    common = ("--data", "held", "--batch-size", 5, "-o")
    own = trained / "run/best.pt"
    for out, checkpoints in (("a", [own]), ("b", ["other.pt"]), ("ab", [own, "other.pt"])):
        assert run("--checkpoint", *checkpoints, *common, out) == 0
    a, b, both = (pd.read_csv(f"{name}/predictions.csv")["class=red"] for name in ("a", "b", "ab"))
    assert np.allclose((a + b) / 2, both, atol=1e-6) and not np.allclose(a, b)


def test_kaggles_files_with_the_competitions_weights(kaggle_folder, tmp_path, capsys):
    cfg = load_cfg(
        None,
        [
            *("USER_MODULES", f"[{TINY}]", "MODEL.BACKBONE.NAME", "tiny", "TENSORBOARD", "false"),
            *("MODEL.SOLVER.TOTAL_EPOCHS", "1", "DATASET.NAME", "bengali", "DATASET.PATH_DATA_RAW", str(kaggle_folder)),
            *("DATASET.PATH_DATA_PROCESSED", "processed", "DATASET.RESIZE_SHAPE", "[16, 16]"),
        ],
    )
    processed_data(cfg.DATASET).make()
    fit(cfg, lambda row, checkpoint: None, RunFolder("run"))
    assert run("--checkpoint", "run/best.pt", "--data", kaggle_folder, "-o", "out") == 0
    tasks = pd.read_csv("out/tasks.csv").set_index("task")
    assert tasks.index.tolist() == ["grapheme_root", "vowel_diacritic", "consonant_diacritic"]
    metrics = pd.read_csv("out/metrics.csv").iloc[0]
    assert metrics["images"] == 400
    assert metrics["score"] == pytest.approx(np.average(tasks["recall"], weights=[2, 1, 1]))


def test_numbers_by_hand():
    classes = {"animal": ("cat", "dog"), "place": ("x", "y")}
    probabilities = [np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]), np.array([[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])]
    labels = {"animal": ["cat", "cat", "emu"], "place": ["x", "y", "y"]}
    metrics = measure(probabilities, labels, classes, (3, 1))
    assert metrics.summary() == {
        "loss": pytest.approx(-(np.log(0.9 * 0.5) + np.log(0.4 * 0.1)) / 2),
        "acc": pytest.approx((0.5 + 0.5) / 2),
        "score": pytest.approx((3 * 0.5 + 1 * 0.5) / 4),
    }
    with pytest.raises(ConfigError, match=r"no image is of a class that the model knows: animal: emu, known: cat, dog"):
        measure(probabilities, {"animal": ["emu"] * 3, "place": ["x"] * 3}, classes, ())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "none.pt", "--data", "nowhere"], "none.pt: no such file"),
        (["--checkpoint", "none.pt", "--data", "nowhere"], "--data: there is no nowhere"),
        (["--data", "empty"], "--data: empty holds no folders with images, and no train.csv"),
        (["-o", "full"], "-o: full: the folder is not empty"),
        (["--tta", "-1"], "--tta: found -1, allowed is at least 0"),
        (["--data", "table.csv"], "the model's tasks are columns of the table: table.csv has no column 'class'"),
    ],
)
def test_mistakes(trained, arguments, message, capsys):
    draw(Path("held"), each=2, seed=1)
    Path("empty").mkdir()
    Path("full/x").mkdir(parents=True)
    Path("table.csv").write_text("image,klass\nheld/red/0.png,red\n")
    given = {"--checkpoint": str(trained / "run/best.pt"), "--data": "held", "-o": "out"}
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert run(*(text for pair in given.items() for text in pair)) == 2
    assert message in capsys.readouterr().err and not Path("out").exists()


def test_rows_of_the_test_are_evaluated_where_the_table_says_the_split(trained, capsys):
    rng = np.random.default_rng(0)
    Path("pictures").mkdir()
    rows = []
    for number in range(36):
        cv2.imwrite(f"pictures/{number}.png", rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        part = ["train", "train", "val", "test"][number % 4]
        rows.append({"image": f"pictures/{number}.png", "image_label": number % 2, "x": number % 3, "part": part})
    pd.DataFrame(rows).to_csv("table.csv", index=False)
    pairs = [
        *(
            "USER_MODULES",
            f"[{TINY}]",
            "MODEL.BACKBONE.NAME",
            "tiny",
            "TENSORBOARD",
            "false",
            "DATASET.NAME",
            "image_table",
        ),
        *("MODEL.SOLVER.TOTAL_EPOCHS", "1", "DATASET.TABLE.PATH", "table.csv", "DATASET.PATH_DATA_RAW", "."),
        *("DATASET.TABLE.LABEL_COLUMNS", "[x, image_label]", "DATASET.TABLE.SPLIT_COLUMN", "part"),
    ]
    cfg = load_cfg(None, pairs)
    processed_data(cfg.DATASET).make()
    fit(cfg, lambda row, checkpoint: None, RunFolder("run"))
    assert run("--checkpoint", "run/best.pt", "--data", "table.csv", "-o", "out") == 0
    assert "9 images, whose part is test, of 36 in the table" in capsys.readouterr().out
    assert pd.read_csv("out/predictions.csv")["image"].tolist() == [f"pictures/{n}.png" for n in range(3, 36, 4)]
    table = pd.read_csv("table.csv")
    table[table["part"] != "test"].to_csv("rest.csv", index=False)
    assert run("--checkpoint", "run/best.pt", "--data", "rest.csv", "-o", "rest") == 0
    assert "no row of the table has the part test: all are evaluated" in capsys.readouterr().out


def test_what_was_trained_on_is_told(trained, monkeypatch, capsys):
    assert run("--checkpoint", trained / "run/best.pt", "--data", trained / "raw", "-o", "out") == 0
    assert "60 images of 3 classes; the model was trained on most of these images" in capsys.readouterr().out


def test_unreadable_images_stop_or_are_left_out(trained, capsys):
    draw(Path("held"), each=3, seed=1)
    for name in ("red/1.png", "blue/0.png"):
        Path("held", name).write_text("no image")
    common = ("--checkpoint", trained / "run/best.pt", "--data", "held", "-o", "out")
    assert run(*common) == 2
    error = capsys.readouterr().err
    assert "held/red/1.png" in error and "held/blue/0.png" in error
    assert "2 images cannot be read; --skip-unreadable leaves them out" in error
    assert run(*common, "--skip-unreadable") == 0
    assert "2 images left out, which cannot be read: blue/0.png, red/1.png" in capsys.readouterr().out
    assert pd.read_csv("out/metrics.csv")["images"][0] == 7


def test_numbers_of_a_table_are_the_names_of_classes():
    assert [_name_of(value, ("01", "2", "x")) for value in (1, 2, "x", 3, "02")] == ["01", "2", "x", "3", "2"]
