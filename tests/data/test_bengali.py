"""Kaggle's layout: joined by image_id, read in blocks of columns, and what is said when files do not fit together."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from data import bengali, make_dataset, make_synthetic
from data.bengali import CLASS_COUNTS, BengaliRaw, read_ids, read_images
from data.build import build_dataset, processed_data
from data.preparation import Preparation
from data.synthetic import draw, unbalanced_labels
from tests.conftest import processed


@pytest.fixture
def raw(tmp_path, monkeypatch) -> Path:
    """Files in Kaggle's layout with small images: thousands of columns take their time."""
    monkeypatch.setattr(bengali, "HEIGHT", 14)
    monkeypatch.setattr(bengali, "WIDTH", 24)
    monkeypatch.setattr(bengali, "_PIXELS", [str(pixel) for pixel in range(14 * 24)])
    monkeypatch.setattr(bengali, "COLUMN_BLOCK", 50)
    folder = tmp_path / "raw"
    folder.mkdir()
    rng = np.random.default_rng(0)
    ids = [f"Train_{number}" for number in range(400)]
    for part in range(4):
        pixels = rng.integers(0, 256, (100, 14 * 24), dtype=np.uint8)
        columns = {"image_id": ids[part * 100 : part * 100 + 100]} | {str(n): pixels[:, n] for n in range(14 * 24)}
        pq.write_table(pa.table(columns), folder / f"train_image_data_{part}.parquet")
    labels = unbalanced_labels(400, rng)
    table = pd.DataFrame({"image_id": ids, **dict(zip(CLASS_COUNTS, labels.T, strict=True)), "grapheme": "x"})
    table.to_csv(folder / "train.csv", index=False)
    return folder


def bengali_cfg(folder, *pairs: str):
    given = {
        "DATASET.NAME": "bengali",
        "DATASET.PATH_DATA_RAW": str(folder),
        "DATASET.PATH_DATA_PROCESSED": "done",
        "DATASET.RESIZE_SHAPE": "[16, 24]",
        "DATASET.CROP_TO_CONTENT": "true",
        **dict(zip(pairs[::2], pairs[1::2], strict=True)),
    }
    return load_cfg(None, [text for pair in given.items() for text in pair]).DATASET


def change_labels(raw: Path, change) -> None:
    change(pd.read_csv(raw / "train.csv")).to_csv(raw / "train.csv", index=False)


def test_images_are_joined_with_their_labels_by_id_and_not_by_order(raw):
    change_labels(raw, lambda table: table.sample(frac=1, random_state=0))
    cfg = bengali_cfg(raw)
    processed_data(cfg).make()
    data = build_dataset(cfg)
    table = pd.read_csv(raw / "train.csv")
    assert (data.images.shape, data.images.dtype) == ((400, 16, 24, 1), np.uint8)
    assert isinstance(data.images, np.memmap)
    assert data.class_counts == (168, 11, 7) and data.task_weights == (2, 1, 1)
    index = pd.read_parquet(processed("bengali-16x24-crop") / "index.parquet")
    assert index["image_id"].tolist() == table["image_id"].tolist()
    assert index["grapheme_root"].astype(int).tolist() == data.labels[:, 0].tolist()
    assert np.array_equal(index.index[index["fold"] == 1], data.val_indices)
    for part in range(4):
        for image_id, image in read_images(raw / f"train_image_data_{part}.parquet"):
            row = table.index[table["image_id"] == image_id][0]
            assert np.array_equal(data.images[row], Preparation.of(cfg)(image))
            assert data.labels[row].tolist() == table.iloc[row, 1:4].tolist()


def test_several_row_groups_are_read_as_one(raw):
    part = raw / "train_image_data_0.parquet"
    assert pq.ParquetFile(part).num_row_groups == 1  # as Kaggle's
    before = dict(read_images(part))
    pq.write_table(pq.read_table(part), part, row_group_size=30)
    assert pq.ParquetFile(part).num_row_groups == 4
    after = dict(read_images(part))
    assert list(before) == list(after) == read_ids(part)
    assert all(np.array_equal(before[image_id], after[image_id]) for image_id in before)


def test_one_row_group_is_in_memory_at_a_time_and_once(raw):
    rows = 20_000
    for part in range(2):
        pixels = pa.array(np.zeros(rows, np.uint8))
        columns = {"image_id": [f"{part}_{row}" for row in range(rows)]} | {str(n): pixels for n in range(14 * 24)}
        pq.write_table(pa.table(columns), raw / f"train_image_data_{part}.parquet")
    done = subprocess.run([sys.executable, "-c", READ_TWO_PARTS], capture_output=True, text=True, cwd=raw)
    numpys, arrows = (int(number) for number in done.stdout.split())
    ids = 100 * rows  # a Python string each
    assert rows * 14 * 24 < numpys < 1.25 * rows * 14 * 24 + ids
    assert 0 < arrows < 0.5 * rows * 14 * 24  # a block of columns, not all


# In a process of its own, since Arrow tells only the most memory that it had since it was imported.
READ_TWO_PARTS = """
import tracemalloc
from pathlib import Path
import pandas  # which Arrow imports when it first converts
import pyarrow as pa
import pyarrow.parquet
from data import bengali
bengali.HEIGHT, bengali.WIDTH, bengali.COLUMN_BLOCK = 14, 24, 50
bengali._PIXELS = [str(pixel) for pixel in range(14 * 24)]
tracemalloc.start()
kept = None
for part in range(2):
    for _, image in bengali.read_images(Path(f"train_image_data_{part}.parquet")):
        kept = image
print(tracemalloc.get_traced_memory()[1], pa.default_memory_pool().max_memory())
"""


def test_ink_is_bright_on_black(kaggle_folder):
    _, image = next(read_images(kaggle_folder / "train_image_data_0.parquet"))
    assert image.shape == (137, 236)
    assert np.median(image) < 40 and image.max() > 150


def test_data_that_is_not_made_yet(raw):
    with pytest.raises(ConfigError, match=r"there is no done/bengali-16x24-crop-\w+; make it with: python -m"):
        build_dataset(bengali_cfg(raw))
    with pytest.raises(ConfigError, match=r"there is no train.csv in .*/none; unpack Kaggle's bengaliai-cv19 there"):
        build_dataset(bengali_cfg("none"))


def test_processed_data_knows_when_it_is_stale(raw, capsys):
    pairs = ["DATASET.NAME", "bengali", "DATASET.PATH_DATA_RAW", str(raw), "DATASET.PATH_DATA_PROCESSED", "done"]
    assert make_dataset.main(pairs) == 0
    assert "400 images of 32x32x1, " in capsys.readouterr().out
    assert make_dataset.main(pairs) == 0
    assert f"{processed('bengali-32x32')} is up to date" in capsys.readouterr().out
    change_labels(raw, lambda table: table.assign(vowel_diacritic=table["vowel_diacritic"].clip(upper=9)))
    cfg = load_cfg(None, pairs).DATASET
    with pytest.raises(ConfigError, match=r"done/bengali-32x32-\w+ is stale: the raw file train.csv has changed"):
        build_dataset(cfg)
    assert make_dataset.main(pairs) == 0
    assert "is stale: the raw file train.csv has changed since; making it again" in capsys.readouterr().out
    assert build_dataset(cfg).labels[:, 1].max() == 9


def test_sizes_live_side_by_side(raw):
    for size in ("[16, 16]", "[20, 20]"):
        processed_data(bengali_cfg(raw, "DATASET.RESIZE_SHAPE", size)).make()
    assert processed("bengali-16x16-crop") != processed("bengali-20x20-crop")


def test_the_raw_files_may_go_when_the_data_is_made(raw):
    cfg = bengali_cfg(raw)
    processed_data(cfg).make()
    shutil.rmtree(raw)
    assert len(build_dataset(cfg).images) == 400


def test_an_interrupted_make_leaves_nothing_and_the_next_one_is_whole(raw):
    cfg = bengali_cfg(raw)

    def interrupt(done: int, of: int) -> None:
        if done == 250:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processed_data(cfg).make(interrupt)
    assert [p.suffix for p in Path("done").iterdir()] == [".lock"]
    Path("done/.bengali-16x24-crop.making").mkdir()  # as left by a kill
    processed_data(cfg).make()
    assert build_dataset(cfg).images.any(axis=(1, 2, 3)).all()


def test_a_replaced_set_is_there_until_the_new_one_is_whole(raw):
    cfg = bengali_cfg(raw)
    processed_data(cfg).make()
    change_labels(raw, lambda table: table.drop(index=[5]))
    with pytest.raises(ConfigError, match=r"is not in train\.csv"):
        processed_data(cfg).make()
    assert np.load(processed("bengali-16x24-crop") / "images.npy").shape[0] == 400


BAD_LABELS = {
    "grapheme_root of Train_7 is 168; allowed is a whole number from 0 to 167": lambda t: t.assign(
        grapheme_root=t["grapheme_root"].where(t["image_id"] != "Train_7", 168)
    ),
    "vowel_diacritic of Train_7 is -1; allowed is a whole number from 0 to 10": lambda t: t.assign(
        vowel_diacritic=t["vowel_diacritic"].where(t["image_id"] != "Train_7", -1)
    ),
    "consonant_diacritic of Train_7 is nan; allowed is a whole number from 0 to 6": lambda t: t.assign(
        consonant_diacritic=t["consonant_diacritic"].where(t["image_id"] != "Train_7")
    ),
    "image_id Train_3 (1) is more than once": lambda t: t.assign(image_id=t["image_id"].replace("Train_4", "Train_3")),
    "image_id Train_3, Train_4 (2) is not in train.csv": lambda t: t.drop(index=[3, 4]),
    "image_id Train_new (1) is in none of the parquet files found": lambda t: pd.concat(
        [t, t.iloc[:1].assign(image_id="Train_new")]
    ),
    "has no column grapheme_root; found image_id, root": lambda t: t.rename(columns={"grapheme_root": "root"}),
    "vowel_diacritic: there is only the class 0": lambda t: t.assign(vowel_diacritic=0),
}


@pytest.mark.parametrize("message", BAD_LABELS, ids=lambda text: text.split(" ")[0])
def test_labels_that_cannot_be_used(raw, message, capsys):
    change_labels(raw, BAD_LABELS[message])
    pairs = ["DATASET.NAME", "bengali", "DATASET.PATH_DATA_RAW", str(raw), "DATASET.PATH_DATA_PROCESSED", "done"]
    assert make_dataset.main(pairs) == 2
    assert message in capsys.readouterr().err


def test_a_missing_part(raw):
    (raw / "train_image_data_2.parquet").unlink()
    message = (
        r"\(100\) is in none of the parquet files found \(train_image_data_0.parquet, .*_1.parquet, .*_3.parquet\)"
    )
    with pytest.raises(ConfigError, match=message):
        processed_data(bengali_cfg(raw)).make()


@pytest.mark.parametrize("kept", [0.999, 0.5, 0.0])
def test_a_truncated_part(raw, kept):
    part = raw / "train_image_data_1.parquet"
    content = part.read_bytes()
    part.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(
        ConfigError, match=r"train_image_data_1.parquet: cannot be read as parquet, it may be truncated"
    ):
        processed_data(bengali_cfg(raw)).make()
    assert not list(Path("done").glob("bengali-16x24-crop*"))


def test_damage_inside_a_part(raw):
    part = raw / "train_image_data_1.parquet"
    content = bytearray(part.read_bytes())
    content[4_000:8_000] = bytes(4_000)
    part.write_bytes(content)
    with pytest.raises(ConfigError, match=r"train_image_data_1.parquet: cannot be read as parquet"):
        processed_data(bengali_cfg(raw)).make()


def test_an_id_in_two_parts(raw):
    shutil.copy(raw / "train_image_data_0.parquet", raw / "train_image_data_9.parquet")
    with pytest.raises(
        ConfigError, match=r"train_image_data_9.parquet: image_id Train_0, .* also in train_image_data_0"
    ):
        processed_data(bengali_cfg(raw)).make()


def test_columns_that_are_not_pixels(raw):
    part = raw / "train_image_data_0.parquet"
    pq.write_table(pq.read_table(part, columns=["image_id", "0", "1"]), part)
    with pytest.raises(ConfigError, match=r"334 columns are missing, '2' first; expected image_id and a column"):
        BengaliRaw(bengali_cfg(raw)).read()


def test_synthetic_files_are_those_of_kaggle(kaggle_folder):
    names = {p.name for p in kaggle_folder.iterdir()}
    parts = {f"{kind}_image_data_{part}.parquet" for kind in ("train", "test") for part in range(4)}
    assert names == parts | {"train.csv", "test.csv", "sample_submission.csv", "class_map.csv"}
    schema = pq.read_schema(kaggle_folder / "train_image_data_0.parquet")
    assert schema.names == ["image_id", *map(str, range(137 * 236))]
    assert {str(schema.field(str(n)).type) for n in (0, 32331)} == {"uint8"}
    table = pd.read_csv(kaggle_folder / "train.csv")
    assert table.columns.tolist() == [
        *("image_id", "grapheme_root", "vowel_diacritic", "consonant_diacritic", "grapheme"),
    ]
    assert [table[column].nunique() for column in table.columns[1:4]] == [168, 11, 7]
    assert table["consonant_diacritic"].value_counts(normalize=True)[0] > 0.5
    submission = pd.read_csv(kaggle_folder / "sample_submission.csv")
    assert submission["row_id"][:3].tolist() == [
        *("Test_0_consonant_diacritic", "Test_0_grapheme_root", "Test_0_vowel_diacritic"),
    ]
    assert len(pd.read_csv(kaggle_folder / "class_map.csv")) == 168 + 11 + 7


def test_synthetic_images_repeat_by_their_seed():
    def image(seed: int, *labels: int) -> np.ndarray:
        return draw(*labels, np.random.default_rng(seed))

    assert np.array_equal(image(0, 3, 4, 5), image(0, 3, 4, 5))
    assert not np.array_equal(image(0, 3, 4, 5), image(1, 3, 4, 5))
    for labels in ((4, 4, 5), (3, 5, 5), (3, 4, 0)):
        assert not np.array_equal(image(0, 3, 4, 5), image(0, *labels))
    first, again = (unbalanced_labels(500, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "100"], "--images: found 100, allowed is at least 168, one for each root"),
        (["--test-images", "1"], "--test-images: found 1, allowed is at least 4"),
        (["--seed", "-1"], "--seed: found -1"),
    ],
)
def test_mistakes_with_synthetic_images(arguments, message, capsys):
    assert make_synthetic.main(["--out", "new", *arguments]) == 2
    assert message in capsys.readouterr().err and not Path("new").exists()


def test_synthetic_images_do_not_overwrite_others(raw, capsys):
    assert make_synthetic.main(["--out", str(raw)]) == 2
    assert "holds a data set already" in capsys.readouterr().err
