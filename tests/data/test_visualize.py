"""Pictures of what a config does to images."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.text import Text

from data import visualize
from tests.conftest import ROOT


def test_samples_and_classes_of_an_experiment(capsys):
    experiment = str(ROOT / "configs" / "experiments" / "digits.yaml")
    assert visualize.main(["--cfg", experiment, "-o", "pictures", "--samples", "3"]) == 0
    assert capsys.readouterr().out.split() == ["pictures/samples.png", "pictures/classes.png"]
    samples, classes = (cv2.imread(f"pictures/{name}.png") for name in ("samples", "classes"))
    assert samples.shape == (480, 1050, 3) and classes.shape == (290, 1000, 3)
    assert len(np.unique(samples)) > 50


def test_another_setting_gives_another_picture():
    for name, degrees in (("a", "5"), ("b", "90")):
        pairs = ["DATASET.AUGMENTATION.ROTATION_PROB", "1", "DATASET.AUGMENTATION.ROTATION_DEGREE", degrees]
        assert visualize.main(["-o", name, "--samples", "2", *pairs]) == 0
    assert Path("a/classes.png").read_bytes() == Path("b/classes.png").read_bytes()
    assert Path("a/samples.png").read_bytes() != Path("b/samples.png").read_bytes()


def test_raw_images_of_a_table_need_no_processing_first():
    Path("pictures").mkdir()
    rng = np.random.default_rng(0)
    rows = ["image,animal"]
    for number in range(12):
        cv2.imwrite(f"pictures/{number}.png", rng.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8))
        rows.append(f"{number}.png,{['cat', 'dog'][number % 2]}")
    Path("table.csv").write_text("\n".join(rows))
    pairs = ["DATASET.NAME", "image_table", "DATASET.TABLE.PATH", "table.csv", "DATASET.PATH_DATA_RAW", "pictures"]
    assert visualize.main(["-o", "out", *pairs, "DATASET.TABLE.LABEL_COLUMNS", "[animal]"]) == 0
    assert Path("out/samples.png").exists()


def test_mistakes(capsys):
    assert visualize.main(["--samples", "0"]) == 2
    assert "--samples: found 0, allowed is at least 1" in capsys.readouterr().err
    assert visualize.main(["--cfg", "none.yaml"]) == 2
    assert "none.yaml: no such file" in capsys.readouterr().err


def write_folder(*classes: str) -> list[str]:
    rng = np.random.default_rng(0)
    for name in classes:
        Path("pictures", name).mkdir(parents=True)
        for number in range(4):
            content = cv2.imencode(".png", rng.integers(0, 256, (20, 30, 3), dtype=np.uint8))[1]
            Path("pictures", name, f"{number}.png").write_bytes(content)
    return ["DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", "pictures"]


def drawn_texts(monkeypatch) -> list[str]:
    """Collects what is written into pictures."""
    written: list[str] = []

    def keep(figure, path):
        figure.canvas.draw()
        written.extend(text.get_text() for text in figure.findobj(Text) if text.get_text())

    monkeypatch.setattr(visualize, "save_figure", keep)
    return written


def test_rows_are_named_by_file_and_class(monkeypatch):
    written = drawn_texts(monkeypatch)
    assert visualize.main(["-o", "out", "--samples", "3", *write_folder("auk", "emu")]) == 0
    assert "auk/0.png\nauk" in written and "emu/0.png\nemu" in written  # from all over the data


def test_a_table_with_two_columns_of_labels_shows_each(monkeypatch):
    written = drawn_texts(monkeypatch)
    write_folder("x", "y", "z")
    rows = [f"{folder}/{n}.png,a{n % 2},p{n % 2}\n" for folder in "xyz" for n in range(4)]
    Path("table.csv").write_text("".join(["image,animal,place\n", *rows]))
    pairs = ["DATASET.NAME", "image_table", "DATASET.TABLE.PATH", "table.csv", "DATASET.PATH_DATA_RAW", "pictures"]
    assert visualize.main(["-o", "out", *pairs, "DATASET.TABLE.LABEL_COLUMNS", "[animal, place]"]) == 0
    assert "x/1.png\nanimal: a1\nplace: p1" in written


@pytest.mark.filterwarnings("error")
def test_any_script_can_be_drawn(monkeypatch, caplog):
    written = drawn_texts(monkeypatch)
    assert visualize.main(["-o", "out", *write_folder("猫", "$a$_b$")]) == 0
    rows = [text for text in written if ".png" in text]
    assert any("猫" in row or r"\u732b" in row for row in rows)  # whether a font of this machine has it or not
    assert any(r"\$a\$_b\$" in row for row in rows)
    assert not [record for record in caplog.records if "font" in record.message.lower()]


def test_pictures_go_to_the_working_folder():
    assert visualize.main(write_folder("auk", "emu")) == 0
    assert Path("data/interim/samples.png").exists()
