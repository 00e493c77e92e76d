"""Weights from a file: what fits is copied and counted."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from configs.errors import ConfigError
from configs.loader import load_cfg, with_values
from tests.conftest import classes_of
from trainable.backbone.build import build_backbone
from trainable.checkpoint import save_checkpoint
from trainable.meta_arch.build import build_model


def backbone_with(path: str):
    return build_backbone(
        load_cfg(None, ["MODEL.BACKBONE", "test_resnet", "MODEL.BACKBONE.PRETRAINED_PATH", path]).MODEL.BACKBONE
    )


@pytest.mark.parametrize("form", ["timm.pt", "timm.safetensors", "ours.pt", "wrapped.pth"])
def test_forms_of_files(form, caplog):
    weights = timm.create_model("test_resnet", num_classes=7).state_dict()
    if form.endswith("safetensors"):
        save_file(weights, form)
    elif form == "ours.pt":
        torch.save({"model": {f"backbone.model.{name}": value for name, value in weights.items()}}, form)
    elif form == "wrapped.pth":
        torch.save({"state_dict": {f"module.{name}": value for name, value in weights.items()}}, form)
    else:
        torch.save(weights, form)
    with caplog.at_level(logging.INFO):
        backbone = backbone_with(form)
    assert torch.equal(backbone.model.conv1[0].weight, weights["conv1.0.weight"])
    count = len(backbone.state_dict())
    assert f"{count} of the model's {count} tensors are from" in caplog.text


def test_files_that_do_not_help():
    with pytest.raises(ConfigError, match=r"PRETRAINED_PATH: found 'none.pt', allowed is the path of an existing file"):
        backbone_with("none.pt")
    torch.save({"a.b": torch.zeros(3)}, "other.pt")
    with pytest.raises(ConfigError, match="none of the 1 tensors"):
        backbone_with("other.pt")
    Path("text.pt").write_text("hello")
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        backbone_with("text.pt")
    torch.save([1, 2], "list.pt")
    with pytest.raises(ConfigError, match="holds no state dict"):
        backbone_with("list.pt")


def test_a_colour_stem_is_adapted_to_grey_images_and_back():
    colour = timm.create_model("test_resnet", num_classes=0)
    torch.save(colour.state_dict(), "colour.pt")
    cfg = load_cfg(None, ["MODEL.BACKBONE", "test_resnet", "MODEL.BACKBONE.RGB", "false", "DATASET.TO_RGB", "false"])
    cfg = with_values(cfg, {"MODEL.BACKBONE.PRETRAINED_PATH": "colour.pt"})
    grey = build_backbone(cfg.MODEL.BACKBONE).eval()
    image = torch.rand(2, 1, 32, 32)
    assert torch.allclose(grey(image), colour.eval()(image.expand(-1, 3, -1, -1)), atol=1e-5)

    torch.save(grey.state_dict(), "grey.pt")
    back = backbone_with("grey.pt").eval()
    assert torch.allclose(back(image.expand(-1, 3, -1, -1)), grey(image), atol=1e-5)


def test_a_warm_start_takes_what_fits_and_says_what_does_not(caplog):
    pairs = ["MODEL.BACKBONE", "test_resnet", "MODEL.HEAD.HIDDEN_DIMS", "[16]"]
    first, _ = build_model(load_cfg(None, pairs), classes_of(5, 3))
    save_checkpoint("first.pt", {"model": first.state_dict(), "ema": {}})
    pairs += ["MODEL.WARM_START_HEAD", "if_it_fits"]
    with caplog.at_level(logging.INFO):
        second, _ = build_model(load_cfg(None, [*pairs, "MODEL.WARM_START_PATH", "first.pt"]), classes_of(5, 7))
    assert torch.equal(second.backbone.model.conv1[0].weight, first.backbone.model.conv1[0].weight)
    assert torch.equal(second.head.outputs[0].weight, first.head.outputs[0].weight)
    assert second.head.outputs[1].weight.shape == (7, 16)
    count = len(second.state_dict())
    assert f"WARM_START_PATH: {count - 2} of the model's {count} tensors are from" in caplog.text
    assert "2 of another shape there: head.outputs.1.weight (3, 16), head.outputs.1.bias (3,)" in caplog.text


def test_the_average_of_a_checkpoint_is_preferred():
    model, _ = build_model(load_cfg(None, ["MODEL.BACKBONE", "test_resnet"]), classes_of(5))
    average = {name: value + 1 for name, value in model.state_dict().items()}
    save_checkpoint("first.pt", {"model": model.state_dict(), "ema": average, "classes": as_lists(classes_of(5))})
    warm, _ = build_model(
        load_cfg(None, ["MODEL.BACKBONE", "test_resnet", "MODEL.WARM_START_PATH", "first.pt"]), classes_of(5)
    )
    assert torch.equal(warm.head.outputs[0].bias, model.head.outputs[0].bias + 1)


def as_lists(classes: dict[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Returns classes as checkpoints hold them."""
    return {task: list(names) for task, names in classes.items()}


@pytest.mark.parametrize("names", [("cat", "dog"), ("dog", "cat"), None])
def test_a_warm_start_takes_the_head_only_for_the_same_classes(names, caplog):
    first, _ = build_model(load_cfg(None, ["MODEL.BACKBONE", "test_resnet"]), {"animal": ("cat", "dog")})
    classes = {} if names is None else {"classes": {"animal": list(names)}}
    save_checkpoint("first.pt", {"model": first.state_dict(), "ema": {}, **classes})
    pairs = ["MODEL.BACKBONE", "test_resnet", "MODEL.WARM_START_PATH", "first.pt"]
    warm, _ = build_model(load_cfg(None, pairs), {"animal": ("cat", "dog")})
    assert torch.equal(warm.backbone.model.conv1[0].weight, first.backbone.model.conv1[0].weight)
    is_same = torch.equal(warm.head.outputs[0].weight, first.head.outputs[0].weight)
    assert is_same == (names == ("cat", "dog"))
    told = {
        ("cat", "dog"): "the same classes there and here: weights of the head are taken, too",
        ("dog", "cat"): "its classes are others (animal: dog, cat there, animal: cat, dog here): the head starts anew",
        None: "it names no classes: the head starts anew",
    }
    assert told[names] in caplog.text


def test_heads_of_tasks_in_another_order_are_not_taken(caplog):
    pairs = ["MODEL.BACKBONE", "test_resnet", "MODEL.META_ARCHITECTURE", "one_head_per_task"]
    first, _ = build_model(load_cfg(None, pairs), {"x": ("u", "v"), "y": ("u", "v")})
    classes = {"x": ["u", "v"], "y": ["u", "v"]}
    save_checkpoint("first.pt", {"model": first.state_dict(), "ema": {}, "classes": classes})
    warm, _ = build_model(
        load_cfg(None, [*pairs, "MODEL.WARM_START_PATH", "first.pt"]), {"y": ("u", "v"), "x": ("u", "v")}
    )
    assert not torch.equal(warm.heads[0].outputs[0].weight, first.heads[0].outputs[0].weight)
    assert "the head starts anew" in caplog.text
