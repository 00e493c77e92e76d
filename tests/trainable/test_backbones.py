"""Backbones: pooling, frozen stages, a learning rate of their own."""

import pytest
import torch

from configs.errors import ConfigError
from configs.loader import load_cfg
from tests.conftest import classes_of
from trainable.backbone.build import build_backbone
from trainable.backbone.freezing import set_training
from trainable.layers.pooling import GeM
from trainable.meta_arch.build import build_model
from trainable.solver.optimizer import build_optimizer, parameter_groups


def backbone(*pairs: str):
    given = {"MODEL.BACKBONE.NAME": "test_resnet"} | dict(zip(pairs[::2], pairs[1::2], strict=True))
    return build_backbone(load_cfg(None, [text for pair in given.items() for text in pair]).MODEL.BACKBONE)


def test_gem_is_the_mean_for_power_1_and_the_cubic_mean_for_power_3():
    maps = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 2, 2)
    assert GeM(power=1.0)(maps).item() == pytest.approx(2.5)
    assert GeM(power=3.0)(maps).item() == pytest.approx(((1 + 8 + 27 + 64) / 4) ** (1 / 3))
    assert GeM(power=100.0)(maps[:, :, :1]).item() == pytest.approx(2.0, rel=0.01)


def test_the_power_of_gem_is_learnt():
    pooling = GeM()
    pooling(torch.rand(2, 3, 4, 4)).sum().backward()
    assert pooling.power.grad is not None and pooling.power.grad.isfinite()


@pytest.mark.parametrize("name", ["test_resnet", "mobilenet_v2", "mobilenetv3_small_050", "test_convnext"])
def test_gem_pools_the_feature_maps(name):
    pooled = backbone("MODEL.BACKBONE.NAME", name, "MODEL.BACKBONE.POOLING", "gem").eval()
    assert pooled(torch.rand(2, 3, 64, 64)).shape == (2, pooled.num_features)


def test_gem_needs_feature_maps():
    with pytest.raises(ConfigError, match=r"POOLING: gem needs feature maps .* which test_vit does not give; use avg"):
        backbone("MODEL.BACKBONE.NAME", "test_vit", "MODEL.BACKBONE.POOLING", "gem")(torch.rand(2, 3, 160, 160))


def test_frozen_stages_keep_weights_and_statistics():
    model, _ = build_model(
        load_cfg(None, ["MODEL.BACKBONE.NAME", "test_resnet", "MODEL.BACKBONE.FROZEN_STAGES", "2"]), classes_of(3)
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    set_training(model)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    model(torch.rand(4, 3, 32, 32))[0].square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and not any(name.startswith(("backbone.model.conv1", "backbone.model.layer1")) for name in changed)
    assert any(name.startswith("backbone.model.layer2") and "running_mean" in name for name in changed)


def test_stages_that_are_not_there():
    with pytest.raises(ConfigError, match="FROZEN_STAGES: found 9, but test_resnet has 5 stages"):
        backbone("MODEL.BACKBONE.FROZEN_STAGES", "9")


def test_a_backbone_that_does_not_know_its_stages(monkeypatch):
    from trainable.backbone.registry import BACKBONE_REGISTRY

    monkeypatch.setitem(BACKBONE_REGISTRY._builders, "plain", lambda backbone_cfg: torch.nn.Linear(2, 2))
    with pytest.raises(ConfigError, match="plain does not say what its stages are; give it a method stages"):
        backbone("MODEL.BACKBONE.NAME", "plain", "MODEL.BACKBONE.FROZEN_STAGES", "1")


def test_the_backbone_has_a_learning_rate_of_its_own():
    cfg = load_cfg(
        None,
        [
            *("MODEL.BACKBONE.NAME", "test_resnet", "MODEL.SOLVER.OPTIMIZER.BASE_LR", "0.01"),
            *("MODEL.SOLVER.OPTIMIZER.BACKBONE_LR_FACTOR", "0.1", "MODEL.BACKBONE.FROZEN_STAGES", "1"),
        ],
    )
    model, _ = build_model(cfg, classes_of(3, 2))
    optimizer = build_optimizer(cfg.MODEL.SOLVER.OPTIMIZER, parameter_groups(model, cfg.MODEL.SOLVER.OPTIMIZER))
    rest, of_backbone = optimizer.param_groups
    assert (rest["lr"], of_backbone["lr"]) == (0.01, pytest.approx(0.001))
    assert {id(p) for p in rest["params"]} == {id(p) for p in model.head.parameters()}
    assert {id(p) for p in of_backbone["params"]} == {id(p) for p in model.backbone.parameters() if p.requires_grad}
