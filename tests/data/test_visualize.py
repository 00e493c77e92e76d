"""Pictures of what a config does to images."""

from pathlib import Path

import cv2
import numpy as np

from data import visualize
from tests.conftest import ROOT


def test_samples_and_classes_of_an_experiment(capsys):
    experiment = str(ROOT / "configs" / "experiments" / "digits.yaml")
    assert visualize.main(["--cfg", experiment, "-o", "pictures", "--samples", "3"]) == 0
    assert capsys.readouterr().out.split() == ["pictures/samples.png", "pictures/classes.png"]
    samples, classes = (cv2.imread(f"pictures/{name}.png") for name in ("samples", "classes"))
    assert samples.shape == (480, 1050, 3) and classes.shape == (250, 1000, 3)
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
