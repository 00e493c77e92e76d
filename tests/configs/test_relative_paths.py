"""Relative paths: found from the working folder, then beside the file that names them."""

import contextlib
import os
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from configs.relative_paths import folders_beside
from configs.yaml_file import yaml_text


def project(folder: str) -> Path:
    """A project whose experiment names files of it."""
    yaml = Path(folder, "experiments/head/trials/0001_x/results/config.yaml")
    yaml.parent.mkdir(parents=True)
    yaml.write_text("USER_MODULES: [parts.py, pprint]\nDATASET.PATH_DATA_RAW: pictures\nDATASET.TABLE.PATH: t.csv\n")
    Path(folder, "parts.py").touch()
    Path(folder, "pictures").mkdir()
    return yaml


def test_a_dump_finds_its_files_from_another_working_folder(tmp_path):
    cfg = load_cfg(project("project"))
    assert (str(tmp_path / "project/parts.py"), "pprint") == cfg.USER_MODULES
    assert str(tmp_path / "project/pictures") == cfg.DATASET.PATH_DATA_RAW
    assert str(tmp_path / "t.csv") == cfg.DATASET.TABLE.PATH  # which is nowhere


def test_the_working_folder_comes_first(tmp_path, monkeypatch):
    yaml = project("project").absolute()
    Path("parts.py").touch()
    assert load_cfg(yaml).USER_MODULES[0] == str(tmp_path / "parts.py")
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert load_cfg(yaml).USER_MODULES[0] == str(tmp_path / "project/parts.py")


@pytest.mark.parametrize(
    ("file", "folders"),
    [
        ("p/experiments/head/best.yaml", ["p/experiments/head", "p/experiments", "p"]),
        ("p/experiments/x/results/config.yaml", ["p/experiments/x/results", "p/experiments/x", "p/experiments", "p"]),
        ("p/experiments/head/trials/0_x/best.pt", ["p/experiments/head/trials/0_x", "p/experiments/head"]),
        ("p/out/base.yaml", ["p/out", "p"]),  # -o out
        ("p/out/trials/0_x/results/config.yaml", ["p/out/trials/0_x/results", "p/out", "p"]),
        ("p/sub/mine.yaml", ["p/sub"]),  # which people have written
    ],
)
def test_where_a_file_was_written_says_where_its_paths_begin(file, folders, tmp_path):
    found = [str(folder.relative_to(tmp_path)) for folder in folders_beside(file)]
    assert found[: len(folders)] == folders and all(Path(one) in Path(file).parents for one in found)
    assert Path() not in folders_beside(file) and tmp_path not in folders_beside(file)


def test_beside_a_file_of_peoples_own_its_folder_is_asked_alone():
    Path("a/b").mkdir(parents=True)
    Path("a/parts.py").touch()
    Path("a/b/mine.yaml").write_text("USER_MODULES: [parts.py]\n")
    with pytest.raises(ConfigError, match=r"There is no file .*parts\.py; it starts at the working folder"):
        load_cfg("a/b/mine.yaml")
    os.rename("a/parts.py", "a/b/parts.py")
    assert (str(Path("a/b/parts.py").absolute()),) == load_cfg("a/b/mine.yaml").USER_MODULES


@pytest.mark.parametrize("path", ["~nobody-xyz/x", "x" * 5000, "a\0b", "\ud800"])
def test_names_that_no_file_can_have(path, tmp_path):
    Path("mine.yaml").write_text(yaml_text({"DATASET.PATH_DATA_RAW": path}))
    with contextlib.suppress(ConfigError):
        load_cfg("mine.yaml")
