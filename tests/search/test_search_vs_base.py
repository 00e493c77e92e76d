"""What benchmarks/search_vs_base.py compares, and the real images that it trains on."""

import importlib.util
import sys
from pathlib import Path

import cv2
import pytest

from benchmarks import image_sources, search_vs_base
from benchmarks.image_sources import CHARACTERS, FAMILIES, LETTER_FONTS, draw
from benchmarks.search_vs_base import TASKS, beside, space_of
from search.plan import make_plan
from search.space.kinds import BACKBONE
from search.space.space_file import read_space
from tests.end_to_end.searches import RATE, write_space


@pytest.mark.parametrize(
    ("source", "classes", "images"),
    [("fonts", len(FAMILIES), len(FAMILIES) * len(CHARACTERS) * 2), ("letters", 26, 26 * len(LETTER_FONTS) * 2)],
)
def test_every_character_is_drawn_and_none_is_blank(source, classes, images):
    assert draw(source, Path("drawn")) == images
    files = sorted(Path("drawn").glob("*/*.png"))
    assert len(files) == images and len({file.parent for file in files}) == classes
    assert all(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).min() < 100 for file in files)
    before = [file.read_bytes() for file in files]
    draw(source, Path("again"))
    assert [file.read_bytes() for file in sorted(Path("again").glob("*/*.png"))] == before


def test_icons_without_their_package(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["image_sources.py", "icons", "drawn"])
    assert image_sources.main() == 2
    assert "icons come with QtAwesome: pip install --no-deps qtawesome" in capsys.readouterr().err


def test_a_choice_is_below_its_base_only_by_more_than_noise():
    base = [0.90, 0.91, 0.92]
    assert beside(base, base) == {"margin": 0.0, "error": pytest.approx(0.00816, abs=1e-5), "is_below": False}
    assert not beside([0.89, 0.90, 0.91], base)["is_below"], "less, but within two standard errors"
    assert beside([0.80, 0.81, 0.82], base)["is_below"]


def test_searches_of_ray_tune_need_a_time(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["search_vs_base.py", "--out", "figures", "--others", "stock_ray"])
    with pytest.raises(SystemExit, match="2"):
        search_vs_base.main()
    assert "--others needs --trainings, by which they end" in capsys.readouterr().err
    assert not Path("figures").exists()


@pytest.mark.parametrize("method", ["random_asha", "tpe_unstopped"])
def test_ray_tune_searches_our_space(method, ray_address, tmp_path):
    import ray

    from benchmarks.ray_tune_search import search

    path = write_space(tmp_path, RATE, "scheduler: none, seed: 3")
    ray.init(address=ray_address, log_to_driver=False)
    try:
        chosen = search(make_plan(read_space(str(path))), path, method, seconds=0.5, slots=2, folder=str(tmp_path))
    finally:
        ray.shutdown()
    assert list(chosen) == ["MODEL.SOLVER.OPTIMIZER.BASE_LR"]
    assert 1e-4 <= chosen["MODEL.SOLVER.OPTIMIZER.BASE_LR"] <= 1e-1


def test_a_search_of_ray_tune_in_which_every_trial_fails_ends(ray_address, tmp_path, monkeypatch):
    import ray

    from benchmarks import ray_tune_search

    monkeypatch.setattr(ray_tune_search, "LONGEST_START", 2)
    path = write_space(tmp_path, RATE, "scheduler: none", MODEL__HEAD__NAME="unbuildable_head")
    ray.init(address=ray_address, log_to_driver=False)
    try:
        with pytest.raises(Exception, match="this head cannot be built"):
            ray_tune_search.search(
                make_plan(read_space(str(path))), path, "random_asha", seconds=9.0, slots=1, folder=str(tmp_path)
            )
    finally:
        ray.shutdown()


@pytest.mark.parametrize("task", TASKS)
def test_each_task_has_backbones_that_are_kinds_and_a_base_that_is_one_of_them(task):
    plan = make_plan(read_space(space_of(task)))
    assert plan.options.kinds == (BACKBONE,) and plan.options.reference
    (backbones,) = (item.distribution.values() for item in plan.space.parameters if item.key == BACKBONE)
    assert plan.base_cfg.MODEL.BACKBONE.NAME in backbones and len(backbones) >= 3
