"""What is built and tried before a search starts."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.errors import ConfigError
from data import make_dataset
from search.plan import make_plan
from search.preflight import check_parts, contradictions, notes_on
from search.space.space_file import read_space
from tests.conftest import ROOT, TINY, put_into_cache, write_pictures


def test_every_form_of_images_is_tried():
    Path("pictures").mkdir()
    rows = ["image,label"]
    for number in range(12):
        cv2.imwrite(f"pictures/{number}.png", np.full((20, 20, 3), 20 * number, np.uint8))
        rows.append(f"{number}.png,{number % 2}")
    Path("table.csv").write_text("\n".join(rows))
    Path("base.yaml").write_text(
        "DATASET: {NAME: image_table, TABLE.PATH: table.csv, PATH_DATA_RAW: pictures, PATH_DATA_PROCESSED: done}\n"
        f"MODEL: {{BACKBONE: tiny}}\nUSER_MODULES: [{TINY}]\n"
    )
    Path("space.yaml").write_text(
        "base: base.yaml\nsearch: {num_samples: 2}\nspace: {DATASET.RESIZE_SHAPE: {choice: [[16, 16], [24, 24]]}}\n"
    )
    assert make_dataset.main(["--cfg", "base.yaml", "DATASET.RESIZE_SHAPE", "[16, 16]"]) == 0
    plan = make_plan(read_space("space.yaml"))
    message = r"base.yaml, line 1: .* there is no done/image_table-table-24x24-.*; .* \(with DATASET"
    with pytest.raises(ConfigError, match=message):
        check_parts(plan)
    assert make_dataset.main(["--cfg", "base.yaml", "DATASET.RESIZE_SHAPE", "[24, 24]"]) == 0
    check_parts(plan)


def test_values_that_do_not_go_together_are_told():
    Path("space.yaml").write_text(
        "space:\n  MODEL.SOLVER.LOSS.JSD_WEIGHT: {choice: [0, 1]}\n  MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}\n"
    )
    (line,) = contradictions(make_plan(read_space("space.yaml")))
    count, problem = re.fullmatch(r"(\d+) of 50 random samples cannot be trained and are not made: (.*)", line).groups()
    assert 10 < int(count) < 40
    assert "JSD_WEIGHT compares AugMix versions of an image; set DATASET.AUGMENTATION.AUGMIX.PROB above 0" in problem
    assert contradictions(make_plan(read_space("space.yaml"), pairs=["DATASET.AUGMENTATION.AUGMIX.PROB", "1"])) == []


@pytest.mark.parametrize(
    ("optimizer", "line"),
    [
        ("{choice: [sgd, adamm]}", 4),
        ("\n      choice:\n        a: {NAME: sgd}\n        b: {NAME: adamm}", 7),
    ],
)
def test_a_part_that_only_timm_could_know_is_found_in_the_file(optimizer, line):
    Path("base.yaml").write_text(f"MODEL.BACKBONE: tiny\nUSER_MODULES: [{TINY}]\n")
    Path("space.yaml").write_text(
        f"base: base.yaml\nspace:\n  MODEL.HEAD.DROPOUT: {{uniform: [0, 0.5]}}\n  MODEL.SOLVER.OPTIMIZER: {optimizer}\n"
    )
    place = rf"^space\.yaml, line {line}: MODEL\.SOLVER\.OPTIMIZER\.NAME: unknown optimizer 'adamm'\..* Did you mean"
    with pytest.raises(ConfigError, match=place) as caught:
        check_parts(make_plan(read_space("space.yaml")))
    assert "(with " not in str(caught.value)


def test_all_parts_that_do_not_exist_are_told_at_once_with_their_places():
    Path("base.yaml").write_text("MODEL:\n  BACKBONE: resnet_18\n")
    Path("space.yaml").write_text(
        "base: base.yaml\nspace:\n"
        "  MODEL.SOLVER.OPTIMIZER: {choice: [sgd, adamm, adamww]}\n  MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}\n"
    )
    with pytest.raises(ConfigError) as caught:
        check_parts(make_plan(read_space("space.yaml")))
    assert [str(problem).split("'")[:2] for problem in caught.value.problems] == [
        ["space.yaml, line 3: MODEL.SOLVER.OPTIMIZER.NAME: unknown optimizer ", "adamm"],
        ["space.yaml, line 3: MODEL.SOLVER.OPTIMIZER.NAME: unknown optimizer ", "adamww"],
        ["base.yaml, line 2: MODEL.BACKBONE.NAME: unknown backbone ", "resnet_18"],
    ]


def test_what_all_samples_show_is_told_with_the_place_of_its_key():
    Path("base.yaml").write_text(f"MODEL.BACKBONE: tiny\nUSER_MODULES: [{TINY}]\nMODEL.HEAD.INPUT_DIM: 7\n")
    Path("space.yaml").write_text("base: base.yaml\nspace: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n")
    message = r"^base\.yaml, line 3: MODEL\.HEAD\.INPUT_DIM: found 7, but backbone tiny gives 8; leave the key out.*ed$"
    with pytest.raises(ConfigError, match=message):
        check_parts(make_plan(read_space("space.yaml")))


def test_an_error_of_a_users_part_is_told_where_it_is_in_the_users_file():
    Path("parts.py").write_text(
        "from trainable.head.registry import HEAD_REGISTRY\n\n\n@HEAD_REGISTRY.register('odd_head')\n"
        "def build(head_cfg):\n    return head_cfg.IN_DIM\n"
    )
    Path("base.yaml").write_text(f"MODEL: {{BACKBONE: tiny, HEAD.NAME: odd_head}}\nUSER_MODULES: [{TINY}, parts.py]\n")
    Path("space.yaml").write_text("base: base.yaml\nspace: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n")
    with pytest.raises(ConfigError, match=r"tiny with odd_head .*: AttributeError: IN_DIM \(.*/parts\.py, line 6\)$"):
        check_parts(make_plan(read_space("space.yaml")))


def test_a_users_module_that_cannot_be_imported_is_told_alone():
    Path("base.yaml").write_text("USER_MODULES: [broken.py]\n")
    Path("broken.py").write_text("def head(:\n")
    Path("space.yaml").write_text("base: base.yaml\nspace: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n")
    message = r"^USER_MODULES: .*broken\.py: cannot be imported: SyntaxError: invalid syntax \(broken\.py, line 1\)$"
    with pytest.raises(ConfigError, match=message):
        check_parts(make_plan(read_space("space.yaml")))


DIGITS = [path for path in sorted((ROOT / "spaces").glob("*.yaml")) if not path.stem.startswith(("bengali", "fine"))]


@pytest.mark.parametrize("space", DIGITS, ids=lambda path: path.stem)
def test_every_part_of_our_own_spaces_can_be_trained(space):
    check_parts(make_plan(read_space(str(space))))


def test_every_part_of_the_space_for_pretrained_networks_can_be_trained(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    put_into_cache(tmp_path / "hub", "resnet18.a1_in1k", seed=0)
    write_pictures(Path("birds"), ("auk", "emu"), each=5)
    pairs = ["DATASET.PATH_DATA_RAW", "birds", "DATASET.RESIZE_SHAPE", "[64, 64]"]
    plan = make_plan(read_space(str(ROOT / "spaces" / "finetune.yaml")), pairs=pairs)
    check_parts(plan)
    hint = "DATASET.RESIZE_SHAPE is 64x64, and the weights that resnet18.a1_in1k starts from were trained on 224x224"
    assert any(note.startswith(hint) for note in notes_on(plan))


def test_weights_that_cannot_be_had_are_answered_before_ray_starts(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    Path("base.yaml").write_text("MODEL.BACKBONE: {PRETRAINED: true}\n")
    Path("space.yaml").write_text("base: base.yaml\nspace: {MODEL.BACKBONE: {choice: [test_resnet, test_vit]}}\n")
    put_into_cache(tmp_path / "hub", "test_vit", seed=0)
    with pytest.raises(ConfigError, match=r"the weights of test_resnet are not in timm's cache"):
        check_parts(make_plan(read_space("space.yaml")))


def test_weights_are_tried_where_it_is_searched_whether_to_start_from_them(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    Path("space.yaml").write_text(
        "space: {MODEL.BACKBONE.NAME: {choice: [test_resnet, test_vit]}, "
        "MODEL.BACKBONE.PRETRAINED: {choice: [false, true]}}\n"
    )
    put_into_cache(tmp_path / "hub", "test_resnet", seed=0)
    with pytest.raises(ConfigError, match=r"the weights of test_vit are not in timm's cache"):
        check_parts(make_plan(read_space("space.yaml")))
