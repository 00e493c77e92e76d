"""Dumps of older versions mean what they meant."""

from pathlib import Path

import pytest

from configs.defaults import KEYS
from configs.dump import dump_cfg
from configs.errors import ConfigError
from configs.formats import before
from configs.loader import as_begun, cfg_from_text, load_cfg, read_cfg
from configs.tree import get_value
from tests.conftest import ROOT

DUMP = ROOT / "tests" / "configs" / "dump_of_0_1.yaml"  # as version 0.1 wrote it
SINCE = {
    "DATASET.BACKGROUND": None,
    "DATASET.AUGMENTATION.FILL": (0, 0, 0),
    "DATASET.FOLDER_FILES": "as_in_0.1",
    "DATASET.KEEP_DUPLICATES_TOGETHER": False,
    "DATASET.TABLE.PATHS_OUTSIDE": True,
    "MODEL.WARM_START_HEAD": "if_it_fits",
}


def test_a_dump_of_0_1_keeps_its_meaning():
    cfg = load_cfg(DUMP)
    assert {key: get_value(cfg, key) for key in SINCE} == SINCE
    assert cfg.DATASET.NORMALIZE_MEAN == cfg.DATASET.NORMALIZE_STD == (0.5,)
    assert cfg.CONFIG_FORMAT == 2
    assert cfg_from_text(dump_cfg(cfg), "again.yaml") == cfg


def test_so_does_one_of_which_some_lines_were_removed():
    Path("edited.yaml").write_text("".join(DUMP.read_text().splitlines(True)[:-25]))
    assert load_cfg("edited.yaml").DATASET.BACKGROUND is None


def test_the_command_line_wins_over_what_an_old_dump_leaves_unsaid():
    assert load_cfg(DUMP, ["DATASET.BACKGROUND", "black"]).DATASET.BACKGROUND == (0, 0, 0)


def test_experiments_written_by_hand_have_the_defaults_of_now():
    Path("mine.yaml").write_text("DATASET: {NAME: image_folder, TABLE: {ON_UNREADABLE: skip}}\n")
    cfg = load_cfg("mine.yaml")
    assert (cfg.DATASET.BACKGROUND, cfg.DATASET.NORMALIZE_MEAN) == ((255, 255, 255), "auto")
    assert cfg.DATASET.ON_UNREADABLE == "skip"  # under its older name


def test_every_value_of_before_is_legal():
    assert before(1).keys() == SINCE.keys() and before(2) == {}
    for key, value in before(1).items():
        assert KEYS[key].rule.read(value) == SINCE[key]


def test_a_dump_of_a_newer_version_is_refused():
    Path("new.yaml").write_text("CONFIG_FORMAT: 3\n")
    with pytest.raises(ConfigError, match=r"new.yaml, line 1: CONFIG_FORMAT: found 3.* A newer yacstune wrote this"):
        load_cfg("new.yaml")


def test_a_run_of_0_1_goes_on_with_the_experiment_that_it_was_begun_with():
    Path("mine.yaml").write_text("DATASET: {NAME: image_folder, BACKGROUND: black}\n")
    now, before_ = read_cfg("mine.yaml"), load_cfg(DUMP)
    cfg = as_begun(before_, now.cfg, now.sources)
    assert (cfg.DATASET.BACKGROUND, cfg.DATASET.AUGMENTATION.FILL) == ((0, 0, 0), (0, 0, 0))  # given, and as before
    assert cfg.DATASET.NORMALIZE_MEAN == (0.5,)
    assert as_begun(cfg_from_text(dump_cfg(cfg), "folder"), now.cfg, now.sources) == cfg  # and once more
    assert as_begun(load_cfg(), now.cfg, now.sources) == now.cfg


def test_paths_are_dumped_as_they_are_seen_from_the_working_folder(tmp_path, monkeypatch):
    Path("parts.py").touch()
    Path("w.pt").touch()
    pairs = ["DATASET.PATH_DATA_RAW", "pictures", "DATASET.PATH_DATA_PROCESSED", "/disk/processed"]
    pairs += ["USER_MODULES", "[parts.py, pprint]", "MODEL.WARM_START_PATH", "w.pt", "DATASET.TABLE.PATH", "../t.csv"]
    cfg = load_cfg(None, pairs)
    assert str(tmp_path / "pictures") == cfg.DATASET.PATH_DATA_RAW
    Path("dump.yaml").write_text(dump_cfg(cfg))
    lines = Path("dump.yaml").read_text()
    for line in ("PATH_DATA_RAW: pictures\n", "PATH_DATA_PROCESSED: /disk/processed\n", "WARM_START_PATH: w.pt\n"):
        assert line in lines
    assert "USER_MODULES: [parts.py, pprint]" in lines and f"PATH: {tmp_path.parent}/t.csv" in lines
    (tmp_path / "moved").mkdir()
    for name in ("parts.py", "w.pt", "dump.yaml"):
        Path(name).rename(tmp_path / "moved" / name)
    assert str(tmp_path / "moved" / "w.pt") == load_cfg("moved/dump.yaml").MODEL.WARM_START_PATH  # beside the dump
    monkeypatch.chdir(tmp_path / "moved")
    assert str(tmp_path / "moved" / "pictures") == load_cfg("dump.yaml").DATASET.PATH_DATA_RAW


def test_default_paths_start_at_the_working_folder(tmp_path):
    dataset = load_cfg().DATASET
    assert (
        str(tmp_path / "data/raw"),
        str(tmp_path / "data/processed"),
    ) == (dataset.PATH_DATA_RAW, dataset.PATH_DATA_PROCESSED)
    assert "PATH_DATA_RAW: data/raw\n" in dump_cfg(load_cfg())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("white", (255, 255, 255)),
        ("black", (0, 0, 0)),
        ("7", (7, 7, 7)),
        ("[1, 2, 3]", (1, 2, 3)),
        ("null", None),
    ],
)
def test_colours(given, expected):
    assert expected == load_cfg(None, ["DATASET.BACKGROUND", given]).DATASET.BACKGROUND


@pytest.mark.parametrize("given", ["256", "[1, 2]", "green", "true"])
def test_what_is_no_colour(given):
    with pytest.raises(ConfigError, match="allowed is white, black, a grey level from 0 to 255, or"):
        load_cfg(None, ["DATASET.BACKGROUND", given])
