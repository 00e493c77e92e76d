"""Tables of images: files or bytes, any number of tasks, and what is said about bad rows."""

import os
import pickle
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from configs.errors import ConfigError
from configs.loader import load_cfg
from data import make_dataset
from data.build import build_dataset, processed_data
from data.loader import Loader
from tests.conftest import processed


@pytest.fixture
def table() -> pd.DataFrame:
    """Twenty pictures of different sizes, with a text and a number as labels."""
    rng = np.random.default_rng(0)
    Path("pictures").mkdir()
    rows = []
    for number in range(20):
        height, width = rng.integers(10, 40, 2)
        cv2.imwrite(f"pictures/{number}.png", rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        rows.append({"file": f"{number}.png", "animal": ["dog", "cat"][number % 2], "count": [10, 9, 2][number % 3]})
    return pd.DataFrame(rows)


def pairs_for(table: pd.DataFrame, *pairs: str, name: str = "table.csv") -> list[str]:
    table.to_csv(name, index=False) if name.endswith(".csv") else table.to_parquet(name)
    given = {
        "DATASET.NAME": "image_table",
        "DATASET.TABLE.PATH": name,
        "DATASET.TABLE.IMAGE_COLUMN": "file",
        "DATASET.TABLE.LABEL_COLUMNS": "[animal, count]",
        "DATASET.PATH_DATA_RAW": "pictures",
        "DATASET.PATH_DATA_PROCESSED": "done",
        "DATASET.RESIZE_SHAPE": "[8, 12]",
        **dict(zip(pairs[::2], pairs[1::2], strict=True)),
    }
    return [text for pair in given.items() for text in pair]


def make(pairs: list[str]):
    cfg = load_cfg(None, pairs).DATASET
    processed_data(cfg).make()
    return build_dataset(cfg)


def test_files_and_labels_of_several_tasks(table):
    data = make(pairs_for(table))
    assert data.classes == {"animal": ("cat", "dog"), "count": ("2", "9", "10")}  # numbers in their order
    assert data.labels[:3].tolist() == [[1, 2], [0, 1], [1, 0]]
    assert data.images.shape == (20, 8, 12, 3)
    picture = cv2.imread("pictures/7.png")[:, :, ::-1]
    assert np.array_equal(data.images[7], cv2.resize(picture, (12, 8), interpolation=cv2.INTER_AREA))
    assert sorted([*data.train_indices, *data.val_indices]) == list(range(20))


def test_bytes_in_a_parquet_give_the_same(table):
    from_files = make(pairs_for(table)).images.copy()
    table["file"] = [Path("pictures", name).read_bytes() for name in table["file"]]
    from_bytes = make(pairs_for(table, "DATASET.PATH_DATA_PROCESSED", "other", name="table.parquet"))
    assert np.array_equal(from_files, from_bytes.images)


def test_grey_images(table):
    data = make(pairs_for(table, "DATASET.TO_RGB", "false", "MODEL.BACKBONE.RGB", "false"))
    assert data.images.shape == (20, 8, 12, 1)
    assert (processed("image_table-table-8x12-grey") / "images.npy").exists()


def test_other_label_columns_are_made_beside_the_first(table):
    pairs = pairs_for(table)
    first = make(pairs)
    others = ["[animal]" if text == "[animal, count]" else text for text in pairs]
    with pytest.raises(
        ConfigError, match=r"was made with DATASET.TABLE.LABEL_COLUMNS animal, count, which is animal now"
    ):
        build_dataset(load_cfg(None, others).DATASET)
    assert list(make(others).classes) == ["animal"]
    assert build_dataset(load_cfg(None, pairs).DATASET).classes == first.classes


def test_a_mistyped_column_is_told_though_the_processed_data_is_missing_too(table):
    make(pairs_for(table))
    cfg = load_cfg(None, pairs_for(table, "DATASET.TABLE.LABEL_COLUMNS", "[animl]")).DATASET
    with pytest.raises(ConfigError, match=r"LABEL_COLUMNS: .*table.csv has no column 'animl'. Did you mean 'animal'"):
        build_dataset(cfg)


def test_tables_have_processed_data_of_their_own(table):
    pairs = pairs_for(table)
    make(pairs)
    make(pairs_for(table, name="other.csv"))
    assert processed("image_table-table-8x12") != processed("image_table-other-8x12")
    build_dataset(load_cfg(None, pairs).DATASET)


def test_an_unreadable_image_stops_with_its_row_or_is_left_out(table, capsys):
    Path("pictures/4.png").write_text("no image")
    Path("pictures/9.png").unlink()
    pairs = pairs_for(table)
    assert make_dataset.main(pairs) == 2
    error = capsys.readouterr().err
    assert "table.csv, row 5: " in error and "pictures/4.png: cannot be read as an image" in error
    assert "table.csv, row 10: " in error and "pictures/9.png: cannot be read: No such file" in error  # all are named
    assert "2 of 20 images cannot be read; repair them, or leave them out with DATASET.ON_UNREADABLE skip" in error
    assert not list(Path("done").glob("image_table-*"))

    pairs = pairs_for(table, "DATASET.ON_UNREADABLE", "skip")
    assert make_dataset.main(pairs) == 0
    assert "2 images left out, which cannot be read: 4.png, 9.png" in capsys.readouterr().out
    data = build_dataset(load_cfg(None, pairs).DATASET)
    assert sorted([*data.train_indices, *data.val_indices]) == [n for n in range(20) if n not in (4, 9)]


BAD_TABLES = {
    "row 3: animal is empty, as in 1 rows in all": lambda t: t.assign(animal=t["animal"].where(t.index != 2)),
    "rows 1 and 5 hold the same image, ./0.png": lambda t: t.assign(file=t["file"].replace("4.png", "./0.png")),
    "has no column 'file'": lambda t: t.rename(columns={"file": "path"}),
    "has no column 'animal'. Did you mean 'animals'?": lambda t: t.rename(columns={"animal": "animals"}),
    "count holds numbers with fractions": lambda t: t.assign(count=t["count"] + 0.5),
    "is the only one of a class (animal has 20, count has 3)": lambda t: t.assign(animal=t["file"]),
    "animal: there is only the class dog": lambda t: t.assign(animal="dog"),
    "table.csv: holds no rows": lambda t: t.iloc[:0],
}


@pytest.mark.parametrize("message", BAD_TABLES)
def test_tables_that_cannot_be_used(table, message, capsys):
    assert make_dataset.main(pairs_for(BAD_TABLES[message](table))) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["DATASET.TABLE.PATH", ""], "DATASET.TABLE.PATH: is empty; give the .csv or .parquet file"),
        (["DATASET.TABLE.PATH", "none.csv"], "DATASET.TABLE.PATH: there is no file"),
        (["DATASET.TABLE.LABEL_COLUMNS", "[]"], "LABEL_COLUMNS: is empty; name the columns"),
        (["DATASET.TABLE.PATH", "pictures/0.png"], "0.png: is neither a .csv nor a .parquet file"),
        (
            ["DATASET.NAME", "digits"],
            "digits needs no processing, it is read as it is. Processed are: bengali, image_f",
        ),
    ],
)
def test_mistakes(table, pairs, message, capsys):
    assert make_dataset.main(pairs_for(table, *pairs)) == 2
    assert message in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_half_done(table):
    """A limit on the size of files stands for the disk: writing fails at the same place in the same way."""
    pairs = pairs_for(table, "DATASET.RESIZE_SHAPE", "[64, 64]")
    done = subprocess.run(
        [sys.executable, "-m", "data.make_dataset", *pairs],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 2, done.stderr
    assert re.search(r"table-64x64-\w+ cannot be written: File too large; what was begun is removed", done.stderr)
    assert "Traceback" not in done.stderr
    assert [name for name in os.listdir("done") if not name.endswith(".lock")] == []


def test_too_little_room_is_told_before_anything_is_read(table, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(ConfigError, match=r"has 0 kB free, but the images take 2.3 MB"):
        make(pairs_for(table, "DATASET.RESIZE_SHAPE", "[200, 200]"))


def test_damaged_processed_data(table, capsys):
    pairs = pairs_for(table)
    make(pairs)
    images = processed("image_table-table-8x12") / "images.npy"
    images.write_bytes(images.read_bytes()[:-500])
    with pytest.raises(ConfigError, match=r"done/image_table-table-8x12-[0-9a-f]{8} is damaged .* make it again with"):
        build_dataset(load_cfg(None, pairs).DATASET)
    assert make_dataset.main(pairs) == 0
    assert "is damaged: mmap length is greater than file size; making it again" in capsys.readouterr().out
    build_dataset(load_cfg(None, pairs).DATASET)


def test_the_same_bytes_twice_are_kept_on_one_side(table):
    content = [Path("pictures", name).read_bytes() for name in table["file"]]
    table["file"] = [*content[:-1], content[3]]
    data = make(pairs_for(table, name="table.parquet"))
    assert any({3, 19} <= set(side.tolist()) for side in (data.train_indices, data.val_indices))
    assert "2 images with the same pixels as another (3 and 19); duplicates are on one side of the split" in data.notes
    assert "1 duplicate with another label (3 and 19)" in data.notes


def test_another_folder_of_images_is_other_data(table):
    pairs = pairs_for(table)
    make(pairs)
    Path("pictures").rename("moved")
    with pytest.raises(ConfigError, match=r"was made with DATASET.PATH_DATA_RAW pictures, which is elsewhere"):
        build_dataset(load_cfg(None, [*pairs[:8], "DATASET.PATH_DATA_RAW", "elsewhere", *pairs[10:]]).DATASET)


def test_none_and_na_are_names_of_classes(table):
    table["animal"] = ["None", "NA"] * 10
    assert make(pairs_for(table)).classes["animal"] == ("NA", "None")


def test_images_of_which_none_can_be_read(table, capsys):
    pairs = pairs_for(table, "DATASET.TABLE.ON_UNREADABLE", "skip", "DATASET.PATH_DATA_RAW", "nowhere")
    assert make_dataset.main(pairs) == 2
    assert "none of the 20 images can be read, beginning with" in capsys.readouterr().err
    assert [name for name in os.listdir("done") if not name.endswith(".lock")] == []


def test_a_column_of_labels_named_twice(table, capsys):
    assert make_dataset.main(pairs_for(table, "DATASET.TABLE.LABEL_COLUMNS", "[animal, animal]")) == 2
    assert "LABEL_COLUMNS: animal is there more than once" in capsys.readouterr().err


def test_worker_processes_open_the_map_instead_of_copying_it(table):
    cfg = load_cfg(None, pairs_for(table, "DATASET.RESIZE_SHAPE", "[256, 256]")).DATASET
    processed_data(cfg).make()
    loader = Loader(build_dataset(cfg), cfg, seed=0)
    pickled = pickle.dumps(loader._train_images)
    assert len(pickled) < 20_000 < 256 * 256 * 3 * 20
    items = [(1, 3), (1, 5)]
    again = pickle.loads(pickled)
    assert all(
        torch.equal(a, b)
        for a, b in zip(loader._train_images.__getitems__(items), again.__getitems__(items), strict=True)
    )


def test_a_column_of_groups(table):
    table["patient"] = [f"p{number // 4}" for number in range(20)]
    for seed in range(4):
        data = make(pairs_for(table, "DATASET.TABLE.GROUP_COLUMN", "patient", "DATASET.SPLIT_SEED", str(seed)))
        train, val = ({number // 4 for number in side} for side in (data.train_indices, data.val_indices))
        assert not train & val and len(val) == 1


def test_twins_join_groups(table):
    table["patient"] = [f"p{number // 4}" for number in range(20)]
    for number in (5, 9):  # of two patients
        Path(f"pictures/{number}.png").write_bytes(Path("pictures/0.png").read_bytes())
    for seed in range(4):
        data = make(pairs_for(table, "DATASET.TABLE.GROUP_COLUMN", "patient", "DATASET.SPLIT_SEED", str(seed)))
        assert len({number in data.val_indices for number in range(12)}) == 1


def test_a_column_that_says_the_split(table):
    table["part"] = ["train", "Training", "valid", "test", "val"] * 4
    pairs = pairs_for(table, "DATASET.TABLE.SPLIT_COLUMN", "part", "DATASET.TABLE.LABEL_COLUMNS", "[animal]")
    data = make(pairs)
    assert len(data.labels) == 16 and data.notes == ("4 images left out, whose part is test",)
    index = pd.read_parquet(processed("image_table-table-8x12") / "index.parquet")
    names = index["image_id"].to_numpy()
    assert set(names[data.train_indices]) == set(table["file"][table["part"].isin(["train", "Training"])])
    assert set(names[data.val_indices]) == set(table["file"][table["part"].isin(["valid", "val"])])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"part": ["train", "Validation", "tset"] * 7},
            "row 3: part is 'tset'; allowed are train, training, validation",
        ),
        ({"part": ["train"] * 21}, "DATASET.TABLE.SPLIT_COLUMN: leaves none of 20 images to validate on"),
        (
            {"part": ["train", "val"] * 11, "group": ["a", "a", "b"] * 7},
            "group a is on both sides of part, as are 2 in all",
        ),
        ({"parts": ["train"] * 21}, "DATASET.TABLE.SPLIT_COLUMN: .* has no column 'part'. Did you mean 'parts'?"),
    ],
)
def test_splits_that_cannot_be_used(table, columns, message, capsys):
    table = table.assign(**{name: values[:20] for name, values in columns.items()})
    group = ["DATASET.TABLE.GROUP_COLUMN", "group"] if "group" in columns else []
    assert make_dataset.main(pairs_for(table, "DATASET.TABLE.SPLIT_COLUMN", "part", *group)) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_table_whose_name_has_a_star(table, capsys):
    with pytest.raises(ConfigError, match="there is no done/image_table-a"):
        build_dataset(load_cfg(None, pairs_for(table, name="a**b.csv")).DATASET)


def test_a_name_that_no_file_can_have(table, capsys):
    table.loc[3, "file"] = "a\0b.png"
    assert make_dataset.main(pairs_for(table, name="table.parquet")) == 2
    assert "row 4: " in capsys.readouterr().err


def test_a_parquet_whose_index_is_the_column_of_images(table):
    pairs = pairs_for(table, name="table.parquet")
    table.set_index("file").to_parquet("table.parquet")
    assert len(make(pairs).labels) == 20


def test_the_most_alike_is_named(table, capsys):
    table["part"] = ["train", "val"] * 10
    pairs = pairs_for(table)
    make(pairs)
    make([*pairs, "DATASET.TABLE.SPLIT_COLUMN", "part"])
    with pytest.raises(ConfigError, match=r"was made with DATASET.ON_UNREADABLE stop, which is skip now\)"):
        others = [*pairs, "DATASET.TABLE.SPLIT_COLUMN", "part", "DATASET.ON_UNREADABLE", "skip"]
        build_dataset(load_cfg(None, others).DATASET)


def test_paths_that_lead_out_of_the_folder_are_refused_unless_a_key_allows_them(table, capsys):
    Path("pictures/3.png").rename("3.png")
    table.loc[3, "file"] = "../3.png"
    table.loc[4, "file"] = str(Path("pictures/4.png").absolute())
    assert make_dataset.main(pairs_for(table)) == 2
    error = capsys.readouterr().err
    assert "table.csv, row 4: " in error and "leads out of" in error and "as 1 path of the table" in error
    assert "allow it with DATASET.TABLE.PATHS_OUTSIDE true" in error and not Path("done").exists()
    assert make_dataset.main(pairs_for(table, "DATASET.TABLE.PATHS_OUTSIDE", "true")) == 0


def test_a_path_behind_a_link_leads_elsewhere_than_it_seems(table, capsys):
    Path("else/inner").mkdir(parents=True)
    Path("pictures/3.png").rename("else/3.png")
    Path("pictures/link").symlink_to(Path("else/inner").absolute())
    table.loc[3, "file"] = "link/../3.png"
    assert make_dataset.main(pairs_for(table)) == 2
    assert "table.csv, row 4: link/../3.png leads out of" in capsys.readouterr().err


def test_a_key_that_changes_no_image_leaves_what_is_made(table):
    pairs = pairs_for(table)
    make(pairs)
    build_dataset(load_cfg(None, [*pairs, "DATASET.TABLE.PATHS_OUTSIDE", "true"]).DATASET)
