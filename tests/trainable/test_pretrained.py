"""timm's weights by name, from a cache that the tests make: no test has a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from configs.defaults import DERIVED
from configs.dump import dump_cfg, recorded_environment
from configs.errors import ConfigError
from configs.loader import cfg_from_text, load_cfg
from tests.conftest import ROOT, TINY_PAIRS, classes_of, put_into_cache
from trainable.backbone import pretrained
from trainable.backbone.build import build_backbone
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.meta_arch.build import build_model
from trainable.predictor import TrainedModel
from trainable.start_weights import hints, normalization, other_weights
from trainable.train import main

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SMALL = ["MODEL.BACKBONE.NAME", "test_resnet", "MODEL.BACKBONE.PRETRAINED", "true"]


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of timm's with the weights of test_resnet, and no network."""
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    put_into_cache(folder, "test_resnet.r160_in1k", seed=3)
    return folder


@pytest.mark.parametrize("name", ["test_resnet", "test_resnet.r160_in1k"])
@pytest.mark.parametrize("rgb", ["true", "false"])
def test_weights_by_name(name, rgb, cache):
    pairs = ["MODEL.BACKBONE.NAME", name, "MODEL.BACKBONE.RGB", rgb, "DATASET.TO_RGB", rgb]
    backbone = build_backbone(load_cfg(None, [*pairs, "MODEL.BACKBONE.PRETRAINED", "true"]).MODEL.BACKBONE)
    torch.manual_seed(3)
    own = timm.create_model("test_resnet").state_dict()
    state = backbone.model.state_dict()
    assert torch.equal(state["layer1.0.conv1.weight"], own["layer1.0.conv1.weight"])
    expected = own["conv1.0.weight"] if rgb == "true" else own["conv1.0.weight"].sum(dim=1, keepdim=True)
    assert torch.allclose(state["conv1.0.weight"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet18.a1_in1k", "the weights of resnet18.a1_in1k are not in timm's cache .*, and cannot be fetched: "),
        ("mobilenet_v2", "the weights of mobilenetv2_100 are not in timm's cache"),
        ("resnet18.a1_in2k", "NAME: unknown tag 'a1_in2k' of resnet18. Did you mean 'resnet18.a1_in1k'"),
        ("test_resnet.x", "unknown tag 'x' of test_resnet.* Known: test_resnet.r160_in1k"),
        ("resnet18d", "unknown backbone|not in timm's cache"),
    ],
)
def test_weights_that_cannot_be_had(name, message, cache):
    with pytest.raises(ConfigError, match=message) as told:
        build_backbone(load_cfg(None, ["MODEL.BACKBONE.NAME", name, *SMALL[2:]]).MODEL.BACKBONE)
    if "cannot be fetched" in str(told.value):
        assert "HF_HOME" in str(told.value) and "MODEL.BACKBONE.PRETRAINED_PATH" in str(told.value)


def test_a_model_without_weights(cache):
    without = next(name for name in timm.list_models() if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(ConfigError, match=f"timm has no weights for {without}"):
        build_backbone(load_cfg(None, ["MODEL.BACKBONE.NAME", without, *SMALL[2:]]).MODEL.BACKBONE)


def test_damaged_weights(cache):
    next(cache.rglob("*.safetensors")).write_bytes(b"x")
    with pytest.raises(ConfigError, match=r"cannot be read as the weights of test_resnet"):
        build_backbone(load_cfg(None, SMALL).MODEL.BACKBONE)


def test_a_backbone_of_the_users_has_no_weights_of_timm():
    with pytest.raises(ConfigError, match="takes timm's weights, and tiny is no model of timm's"):
        from configs.user_modules import import_user_modules

        cfg = load_cfg(None, [*TINY_PAIRS, "MODEL.BACKBONE.PRETRAINED", "true"])
        import_user_modules(cfg.USER_MODULES)
        build_backbone(cfg.MODEL.BACKBONE)


def test_weights_by_name_and_a_file():
    Path("w.pt").touch()
    with pytest.raises(ConfigError, match=r"PRETRAINED is true and MODEL.BACKBONE.PRETRAINED_PATH names a file"):
        load_cfg(None, [*SMALL, "MODEL.BACKBONE.PRETRAINED_PATH", "w.pt"])


def resolved(*pairs: str):
    return normalization(load_cfg(None, list(pairs)))


def test_mean_and_std_are_those_of_the_weights():
    by_name = ("MODEL.BACKBONE.PRETRAINED", "true")
    assert resolved("MODEL.BACKBONE.NAME", "resnet18", *by_name) == dict(zip(DERIVED[2:], (MEAN, STD), strict=True))
    assert resolved("MODEL.BACKBONE.NAME", "test_resnet", *by_name)[DERIVED[2]] == (0.5, 0.5, 0.5)
    assert resolved("MODEL.BACKBONE.NAME", "resnet18") == {DERIVED[2]: (0.5,), DERIVED[3]: (0.5,)}
    grey = resolved(
        "MODEL.BACKBONE.NAME", "resnet18", *by_name, "MODEL.BACKBONE.RGB", "false", "DATASET.TO_RGB", "false"
    )
    assert grey == {DERIVED[2]: (pytest.approx(sum(MEAN) / 3),), DERIVED[3]: (pytest.approx(sum(STD) / 3),)}
    given = resolved("MODEL.BACKBONE.NAME", "resnet18", *by_name, "DATASET.NORMALIZE_MEAN", "[0.1]")
    assert given == {DERIVED[2]: (0.1,), DERIVED[3]: STD}


@pytest.mark.parametrize("key", ["MODEL.WARM_START_PATH", "MODEL.BACKBONE.PRETRAINED_PATH"])
def test_mean_and_std_of_a_checkpoint_are_those_that_it_was_trained_with(key):
    config = dump_cfg(load_cfg(None, ["DATASET.NORMALIZE_STD", "[0.3]", "DATASET.RESIZE_SHAPE", "[96, 96]"]))
    save_checkpoint("first.pt", {"config": config, "derived": {DERIVED[2]: (0.2,), DERIVED[3]: (0.3,)}, "model": {}})
    assert resolved("MODEL.BACKBONE.NAME", "resnet18", key, "first.pt") == {DERIVED[2]: (0.2,), DERIVED[3]: (0.3,)}
    assert "starts from were trained on 96x96" in hints(load_cfg(None, [key, "first.pt"]))[0]
    torch.save({"conv1.weight": torch.zeros(1)}, "foreign.pt")
    expected = MEAN if key.endswith("PRETRAINED_PATH") else (0.5,)  # a file for this very backbone
    assert resolved("MODEL.BACKBONE.NAME", "resnet18", key, "foreign.pt")[DERIVED[2]] == expected


def test_they_are_dumped_as_derived_and_follow_another_backbone():
    pairs = ["MODEL.BACKBONE.NAME", "test_resnet"]
    cfg = load_cfg(None, pairs)
    _, filled_in = build_model(cfg, classes_of(3))
    text = dump_cfg(cfg, filled_in)
    assert "  # NORMALIZE_MEAN: [0.5]  (derived)\n" in text
    later = cfg_from_text(text.replace("PRETRAINED: false", "PRETRAINED: true").replace("test_resnet", "resnet18"), "x")
    assert normalization(later)[DERIVED[2]] == MEAN


def test_a_size_far_from_that_of_the_weights_is_told():
    def of(size: str):
        pairs = ["MODEL.BACKBONE.NAME", "resnet18", "MODEL.BACKBONE.PRETRAINED", "true", "DATASET.RESIZE_SHAPE", size]
        return hints(load_cfg(None, pairs))

    assert of("[112, 112]") == of("[448, 224]") == of("[224, 224]") == []
    assert (
        "RESIZE_SHAPE is 32x224, and the weights that resnet18 starts from were trained on 224x224"
        in of("[32, 224]")[0]
    )
    assert hints(load_cfg(None, ["MODEL.BACKBONE.NAME", "resnet18"])) == []


TRAINING = [*SMALL, "MODEL.SOLVER.TOTAL_EPOCHS", "1", "DATASET.VALIDATION_FRACTION", "0.9", "TENSORBOARD", "false"]


def test_the_checksum_of_the_weights_is_kept_and_others_are_told(cache, capsys):
    assert main(["-o", "a", *TRAINING]) == 0
    recorded = recorded_environment("a/results/config.yaml")
    assert recorded["weights"].keys() == {"MODEL.BACKBONE.PRETRAINED"}
    assert "note: DATASET.RESIZE_SHAPE is 32x32" in capsys.readouterr().err
    assert main(["-o", "b", "--cfg", "a/results/config.yaml"]) == 0
    assert "not the weights" not in capsys.readouterr().err
    rows = [Path(run, "results/metrics.csv").read_text().splitlines()[1].split(",")[:6] for run in "ab"]
    assert rows[0] == rows[1]
    put_into_cache(cache, "test_resnet.r160_in1k", seed=4)
    assert main(["-o", "c", "--cfg", "a/results/config.yaml"]) == 0
    told = "PRETRAINED: these are not the weights that this config was trained with (SHA-256 "
    assert told + recorded["weights"]["MODEL.BACKBONE.PRETRAINED"][:12] in capsys.readouterr().err
    assert other_weights({}, {"MODEL.WARM_START_PATH": "x"}) == []


def test_a_checkpoint_needs_no_weights_to_predict(cache):
    assert main(["-o", "a", *TRAINING, "DATASET.NORMALIZE_STD", "auto"]) == 0
    for file in cache.rglob("*.safetensors"):
        file.unlink()
    model = TrainedModel("a/best.pt")
    assert model.cfg.DATASET.NORMALIZE_MEAN == (0.5, 0.5, 0.5) and not model.cfg.MODEL.BACKBONE.PRETRAINED
    assert load_checkpoint("a/best.pt")["derived"]["MODEL.HEAD.OUTPUT_DIMS"] == (10,)


def test_a_training_finds_the_weights_below_hf_home_and_answers_without_them(tmp_path):
    command = [sys.executable, "-m", "trainable.train", "-o", "run", *TRAINING]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert f"not in timm's cache ({tmp_path}/home/hub), and cannot be fetched" in done.stderr
    put_into_cache(tmp_path / "home" / "hub", "test_resnet.r160_in1k", seed=3)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert recorded_environment("run/results/config.yaml")["weights"]


def test_every_name_of_ours_is_known_to_timm():
    assert all(timm.is_model(name) for name in pretrained.TIMM_NAMES.values())
