"""Folders of classes: processed once, by one rule of reading, with what people should know said."""

import json
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from data import make_dataset
from data.build import build_dataset, check_data
from data.image_data import ImageData
from data.loader import Loader
from tests.conftest import processed, write_pictures

FORM = "image_folder-birds-8x8"


def pairs(*more: str) -> list[str]:
    given = {"NAME": "image_folder", "PATH_DATA_RAW": "birds", "PATH_DATA_PROCESSED": "done", "RESIZE_SHAPE": "[8, 8]"}
    given |= dict(zip(more[::2], more[1::2], strict=True))
    return [text for key, value in given.items() for text in (f"DATASET.{key}", value)]


def build(*more: str) -> ImageData:
    return build_dataset(load_cfg(None, pairs(*more)).DATASET)


@pytest.fixture(autouse=True)
def birds() -> Path:
    write_pictures(Path("birds"), ("auk", "bee-eater"), each=6)
    return Path("birds")


def test_images_are_prepared_once_and_it_is_said_where_and_how_large(capsys):
    data = build()
    assert data.is_prepared and data.images.shape == (12, 8, 8, 3)
    said = capsys.readouterr().err
    assert f"preparing 12 images once, in {processed(FORM)}: 2 kB" in said
    made = (processed(FORM) / "images.npy").stat().st_mtime_ns
    again = build()
    assert capsys.readouterr().err == ""
    assert np.array_equal(again.images, data.images) and again.digest == data.digest
    assert (processed(FORM) / "images.npy").stat().st_mtime_ns == made


def test_without_a_cache_the_same_images_are_decoded_in_every_epoch(capsys):
    cached = build()
    shutil.rmtree("done")
    capsys.readouterr()
    decoded = build("CACHE", "false")
    assert "looking through 12 images once; prepared images are not kept" in capsys.readouterr().err
    assert not decoded.is_prepared and not (processed(FORM) / "images.npy").exists()
    build("CACHE", "false")
    assert capsys.readouterr().err == ""  # once
    dataset_cfg = load_cfg(None, pairs()).DATASET
    batches = [next(Loader(data, dataset_cfg, seed=0).train_batches(1))[0] for data in (cached, decoded)]
    assert (batches[0] == batches[1]).all() and cached.digest == decoded.digest
    assert build().is_prepared  # as soon as it may be


def test_a_disk_without_room_switches_the_cache_off(monkeypatch, capsys):
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1500))
        assert not build().is_prepared
        assert "decodes them again, since done has 1 kB free and they take 2 kB" in capsys.readouterr().err
        assert not build().is_prepared
        assert capsys.readouterr().err == ""
    assert build().is_prepared


@pytest.mark.parametrize("change", ["new", "gone", "other size", "other date"])
def test_images_that_change_are_prepared_again(change, capsys):
    build()
    if change == "new":
        shutil.copy("birds/auk/0.png", "birds/auk/9.png")
    elif change == "gone":
        Path("birds/auk/0.png").unlink()
    elif change == "other size":
        cv2.imwrite("birds/auk/0.png", np.zeros((4, 4, 3), np.uint8))
    else:
        os.utime("birds/auk/0.png", (1, 1))
    capsys.readouterr()
    data = build()
    assert f"once, in {processed(FORM)}" in capsys.readouterr().err
    assert len(data.images) == 12 + (change == "new") - (change == "gone")
    assert (data.images[0].max() == 0) == (change == "other size")


def test_forms_and_settings_have_processed_images_of_their_own():
    build()
    build("BACKGROUND", "black")
    build("RESIZE_SHAPE", "[4, 4]")
    assert len(list(Path("done").glob("image_folder-birds-8x8-*"))) == 2 and processed("image_folder-birds-4x4")


def test_two_folders_of_one_name_do_not_replace_each_other():
    write_pictures(Path("other/birds"), ("auk", "emu"), each=3)
    first, second = build(), build("PATH_DATA_RAW", "other/birds")
    assert (len(build().labels), len(build("PATH_DATA_RAW", "other/birds").labels)) == (12, 6)
    assert first.classes != second.classes


def test_a_project_that_moves_takes_its_processed_images_with_it(tmp_path, monkeypatch, capsys):
    build()
    (tmp_path / "moved").mkdir()
    for name in ("birds", "done"):
        shutil.move(name, tmp_path / "moved" / name)
    monkeypatch.chdir(tmp_path / "moved")
    capsys.readouterr()
    build()
    assert capsys.readouterr().err == ""


def test_mistakes_write_nothing():
    with pytest.raises(ConfigError, match="VALIDATION_FRACTION"):
        build("VALIDATION_FRACTION", "0.01")
    assert not Path("done").exists()


def test_make_dataset_makes_it_too(capsys):
    build("CACHE", "false")
    assert make_dataset.main(pairs()) == 0
    assert "12 images of 8x8x3, 10 to train and 2 to validate on" in capsys.readouterr().out
    assert make_dataset.main(pairs()) == 0
    assert "is up to date" in capsys.readouterr().out


def test_what_is_left_out_is_said():
    (Path("birds/auk/.ipynb_checkpoints")).mkdir()
    shutil.copy("birds/auk/0.png", "birds/auk/.ipynb_checkpoints/0-checkpoint.png")
    for name in ("birds/auk/anim.gif", "birds/bee-eater/b.gif", "birds/list.csv"):
        Path(name).touch()
    write_pictures(Path("elsewhere"), ("cuckoo",), each=6)
    os.symlink("../elsewhere/cuckoo", "birds/cuckoo")
    assert build().notes[0] == "18 images of 3 classes; left out: 2 gif, 1 hidden folder, 1 loose file"


def test_a_folder_of_data_sets_is_told():
    (note,) = build().notes
    assert note == "12 images of 2 classes"
    os.mkdir("sets")
    os.rename("birds", "sets/birds")
    write_pictures(Path("sets/birds_test"), ("auk", "bee-eater"), each=2)
    assert build("PATH_DATA_RAW", "sets").notes[:2] == (
        "16 images of 2 classes",
        "the classes are birds, birds_test; none holds images itself, only folders of images. If those are the "
        "classes, give DATASET.PATH_DATA_RAW sets/birds",
    )


def test_configs_of_0_1_read_what_they_read():
    (Path("birds/auk/.hidden")).mkdir()
    shutil.copy("birds/auk/0.png", "birds/auk/.hidden/0.png")
    write_pictures(Path("elsewhere"), ("more",), each=2)
    os.symlink("../../elsewhere/more", "birds/auk/linked")
    assert len(build("FOLDER_FILES", "as_in_0.1").labels) == 13
    assert len(build().labels) == 14


def test_all_unreadable_images_are_named_or_left_out(capsys):
    Path("birds/auk/3.png").write_text("no image")
    Path("birds/bee-eater/0.png").write_bytes(b"")
    with pytest.raises(ConfigError) as told:
        build()
    assert [str(problem).split(":")[0].split("birds/")[1] for problem in told.value.problems[:2]] == [
        "auk/3.png",
        "bee-eater/0.png",
    ]
    assert "2 of 12 images cannot be read; repair them, or leave them out" in str(told.value.problems[2])
    for cache in ("true", "false"):
        data = build("ON_UNREADABLE", "skip", "CACHE", cache)
        assert sorted([*data.train_indices, *data.val_indices]) == [n for n in range(12) if n not in (3, 6)]
        assert data.notes[1] == "2 images left out, which cannot be read: auk/3.png, bee-eater/0.png"
    index = pd.read_parquet(processed(FORM) / "index.parquet")
    assert index["image_id"][index["left_out"]].tolist() == ["auk/3.png", "bee-eater/0.png"]


def test_transparent_images_are_counted():
    cv2.imwrite("birds/auk/0.png", np.zeros((12, 10, 4), np.uint8))
    data = build()
    assert (data.images[0] == 255).all()
    assert "1 image with transparency, shown on DATASET.BACKGROUND [255, 255, 255]" in data.notes
    assert (build("BACKGROUND", "[1, 2, 3]").images[0] == (1, 2, 3)).all()


def test_images_with_the_same_pixels_stay_on_one_side():
    for number in range(6):
        shutil.copy(f"birds/auk/{number}.png", f"birds/auk/copy-{number}.png")
    cv2.imwrite("birds/auk/other.bmp", cv2.imread("birds/auk/0.png"))
    shutil.copy("birds/auk/1.png", "birds/bee-eater/mistaken.png")
    for seed in range(5):
        data = build("SPLIT_SEED", str(seed))
        sides = [{tuple(data.images[i].ravel()) for i in side} for side in (data.train_indices, data.val_indices)]
        assert not sides[0] & sides[1] and len(data.val_indices) > 0
    told = "14 images with the same pixels as another (auk/0.png and auk/copy-0.png); duplicates are on one side of the"
    assert data.notes[1].startswith(told)
    assert "1 duplicate with another label (auk/1.png and bee-eater/mistaken.png)" in data.notes
    apart = build("KEEP_DUPLICATES_TOGETHER", "false")
    assert re.search(
        r"; \d+ images with a duplicate on the other side of the split \(auk/\S+ and auk/\S+\)", apart.notes[1]
    )


def test_a_folder_of_validation_images():
    write_pictures(Path("held"), ("bee-eater",), each=2)
    cv2.imwrite("held/bee-eater/2.png", np.zeros((4, 4, 3), np.uint8))
    data = build("PATH_VALIDATION", "held")
    assert data.train_indices.tolist() == list(range(12)) and data.val_indices.tolist() == [12, 13, 14]
    assert data.labels[12:, 0].tolist() == [1, 1, 1] and data.classes == {"class": ("auk", "bee-eater")}
    assert "class: 1 class is too rare to be validated on: auk" in data.remarks
    told = "4 images with a duplicate on the other side of the split (auk/0.png and ../held/bee-eater/0.png)"
    assert any(told in note for note in data.notes)  # the same random pictures


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "DATASET.PATH_VALIDATION: there is no folder .*/nowhere"),
        ("empty", "DATASET.PATH_VALIDATION: .*/empty holds no folders"),
        ("others", "PATH_VALIDATION: .* has folders that .*/birds has not: auks. Did you mean 'auk'"),
    ],
)
def test_validation_folders_that_cannot_be_used(folder, message):
    Path("empty").mkdir()
    write_pictures(Path("others"), ("auks",), each=2)
    with pytest.raises(ConfigError, match=message):
        build("PATH_VALIDATION", folder)
    with pytest.raises(ConfigError, match=r"FOLDS is 5, but DATASET.PATH_VALIDATION says already what is validated on"):
        load_cfg(None, [*pairs("PATH_VALIDATION", "birds"), "DATASET.FOLDS", "5"])


def test_names_that_are_no_utf_8(capsys):
    os.rename("birds/auk/0.png", os.fsdecode(b"birds/auk/caf\xe9.png"))
    os.rename("birds/bee-eater", os.fsdecode(b"birds/b\xe9e"))
    data = build()
    assert data.classes == {"class": ("auk", r"b\xe9e")}
    index = pd.read_parquet(processed(FORM) / "index.parquet")
    assert r"auk/caf\xe9.png" in index["image_id"].tolist()
    assert r"auk/caf\xe9.png" in json.loads((processed(FORM) / "made_from.json").read_text())["files"]


def test_people_see_what_is_too_rare(capsys):
    (Path("birds/crow")).mkdir()
    shutil.copy("birds/auk/0.png", "birds/crow/0.png")
    cv2.imwrite("birds/crow/0.png", np.zeros((4, 4, 3), np.uint8))
    assert check_data(load_cfg(None, pairs()))[-2:] == [
        "class: 1 class is too rare to be validated on: crow",
        "11 images to train and 2 to validate on",
    ]


def test_a_validation_folder_inside_the_other_is_no_class():
    write_pictures(Path("birds/val"), ("auk", "bee-eater"), each=2)
    for validation in ("birds/val", "birds", "birds/val/../"):
        with pytest.raises(
            ConfigError, match=r"PATH_VALIDATION: .* lies in DATASET.PATH_DATA_RAW .*/birds, whose folders"
        ):
            build("PATH_VALIDATION", validation)
    with pytest.raises(ConfigError, match=r"PATH_DATA_RAW: .*/birds/val lies in DATASET.PATH_VALIDATION"):
        build("PATH_DATA_RAW", "birds/val", "PATH_VALIDATION", "birds")
    with pytest.raises(ConfigError, match=r"PATH_DATA_PROCESSED: .* lies in DATASET.PATH_DATA_RAW"):
        build("PATH_DATA_PROCESSED", "birds/done")
    with pytest.raises(ConfigError, match=r"PATH_VALIDATION is read by image_folder alone, and DATASET.NAME is digits"):
        load_cfg(None, ["DATASET.PATH_VALIDATION", "birds"])


def test_a_class_folder_that_leads_back_is_no_class():
    os.symlink(".", "birds/round")
    data = build()
    assert data.classes == {"class": ("auk", "bee-eater")} and "1 circular link" in data.notes[0]


def test_where_nothing_can_be_written_images_are_looked_through_each_time(capsys):
    Path("file").touch()
    cached = build()
    capsys.readouterr()
    for _ in range(2):
        data = build("PATH_DATA_PROCESSED", "file/processed")
        told = capsys.readouterr().err
        assert "looking through 12 images, each time anew: DATASET.PATH_DATA_PROCESSED: " in told
        assert "cannot be written (Not a directory); give another" in told
        assert not data.is_prepared and np.array_equal(data.val_indices, cached.val_indices)
    assert make_dataset.main(pairs("PATH_DATA_PROCESSED", "file/processed")) == 2


@pytest.mark.parametrize("name", ["split.npz", "labels.npy", "made_from.json", "images.npy"])
def test_damaged_files_are_made_again(name):
    build()
    (processed(FORM) / name).write_bytes(b"PK\3\4 damaged")
    assert len(build().labels) == 12


def test_images_that_vanish_on_the_background_are_told():
    for number in range(6):
        white = np.full((8, 8, 4), 255, np.uint8)
        white[: number + 1, :, 3] = 0
        cv2.imwrite(f"birds/auk/{number}.png", white)
    told = "6 images of one colour only: what they show has the colour of DATASET.BACKGROUND; choose another"
    assert told in build().notes
    assert told not in build("BACKGROUND", "black").notes


def test_a_class_of_which_nothing_can_be_read_is_told():
    write_pictures(Path("birds"), ("crow",), each=2)
    for file in Path("birds/crow").iterdir():
        file.write_text("no image")
    assert "class: no image can be read of crow" in build("ON_UNREADABLE", "skip").notes


def test_a_class_with_one_picture_is_trained_on():
    Path("birds/crow").mkdir()
    for number in range(4):
        cv2.imwrite(f"birds/crow/{number}.png", np.zeros((4, 4, 3), np.uint8))
    for fold in range(2):
        data = build("FOLDS", "2", "VALIDATION_FOLD", str(fold))
        assert set(range(12, 16)) <= set(data.train_indices.tolist())
    for name in ("auk", "bee-eater"):
        for number in range(6):
            cv2.imwrite(f"birds/{name}/{number}.png", np.full((4, 4, 3), len(name), np.uint8))
    with pytest.raises(ConfigError, match=r"each class has all its images in one group that stays together"):
        build()


def test_when_the_raw_images_are_gone_it_is_told():
    before = build()
    shutil.rmtree("birds")
    data = build()
    assert data.notes[0].startswith("the raw files are gone: what was made of them is used, image_folder-birds-8x8-")
    assert data.digest == before.digest
