"""Weights from a file: what fits is copied and counted."""

import logging
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from configs.errors import ConfigError
from configs.loader import load_cfg
from trainable.backbone.build import build_backbone


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
