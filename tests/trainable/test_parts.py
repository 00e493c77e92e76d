"""One contract for every registered part: it builds, runs on two images, gives a finite loss and gradients."""

import math

import pytest
import timm
import torch

from configs.defaults import KEYS
from configs.errors import ConfigError
from configs.loader import load_cfg
from configs.tracking import track_reads
from data.image_data import DATASET_REGISTRY
from tests.conftest import classes_of
from trainable.backbone.build import build_backbone
from trainable.backbone.registry import BACKBONE_REGISTRY
from trainable.head.build import build_head
from trainable.head.registry import HEAD_REGISTRY
from trainable.layers.activation import ACTIVATIONS
from trainable.meta_arch.build import build_model
from trainable.meta_arch.registry import META_ARCH_REGISTRY
from trainable.solver.loss import build_loss
from trainable.solver.optimizer import build_optimizer
from trainable.solver.registry import LOSS_REGISTRY, OPTIMIZER_REGISTRY, SCHEDULE_REGISTRY
from trainable.solver.schedule import build_schedule

SMALL = ("MODEL.BACKBONE.NAME", "test_resnet", "MODEL.HEAD.HIDDEN_DIMS", "[8]")
REGISTRIES = (
    BACKBONE_REGISTRY,
    HEAD_REGISTRY,
    META_ARCH_REGISTRY,
    LOSS_REGISTRY,
    OPTIMIZER_REGISTRY,
    SCHEDULE_REGISTRY,
    DATASET_REGISTRY,
)


def own_names(registry) -> set[str]:
    """The names of our parts: not those that tests have registered as users do."""
    return {name for name in registry if not registry[name].__module__.startswith("user_modules")}


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_the_names_checked_without_torch_are_those_registered(registry):
    import data.build  # noqa: F401  registers data sets

    assert set(KEYS[registry.key].rule.names) == own_names(registry)


def step(cfg) -> float:
    """Builds everything for two tasks and trains a step on two images; returns the loss."""
    torch.manual_seed(0)
    model, resolved = build_model(cfg, classes_of(5, 3))
    assert resolved.MODEL.HEAD.OUTPUT_DIMS == (5, 3)
    loss_function = build_loss(cfg.MODEL.SOLVER.LOSS)
    optimizer = build_optimizer(cfg.MODEL.SOLVER.OPTIMIZER, model.parameters())
    schedule = build_schedule(cfg.MODEL.SOLVER.SCHEDULER, optimizer, epochs=2, steps_per_epoch=1)
    images = torch.rand(2, 3 if cfg.MODEL.BACKBONE.RGB else 1, 32, 32)
    logits = model(images)
    assert [tuple(one.shape) for one in logits] == [(2, 5), (2, 3)]
    loss = loss_function(logits, torch.tensor([[0, 1], [4, 2]]))
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
    before = [p.detach().clone() for p in model.parameters()]
    optimizer.step()
    schedule.after_update()
    schedule.after_epoch(1.0)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert math.isfinite(optimizer.param_groups[0]["lr"])
    return loss.item()


PARTS = [(r.key, name) for r in REGISTRIES if r is not DATASET_REGISTRY for name in sorted(own_names(r))]
PARTS += [("MODEL.HEAD.ACTIVATION", name) for name in ACTIVATIONS]


@pytest.mark.parametrize(("key", "name"), PARTS, ids=lambda value: value.split(".")[-1])
def test_every_part_trains_a_step(key, name):
    small = [*SMALL[2:]] if key == "MODEL.BACKBONE.NAME" else [*SMALL]
    assert math.isfinite(step(load_cfg(None, [*small, key, name])))


def test_activations_are_those_that_may_be_named():
    assert set(KEYS["MODEL.HEAD.ACTIVATION"].rule.names) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ["mobilenet_v2", "test_vit", "test_convnext", "mobilenetv3_small_050"])
def test_backbones_say_how_many_features_they_give(name):
    cfg = load_cfg(None, ["MODEL.BACKBONE", name, "MODEL.BACKBONE.RGB", "false", "DATASET.TO_RGB", "false"])
    backbone = build_backbone(cfg.MODEL.BACKBONE).eval()
    size = 160 if name == "test_vit" else 64
    assert backbone(torch.rand(2, 1, size, size)).shape == (2, backbone.num_features)


def test_an_unknown_backbone_is_answered_with_the_nearest():
    assert timm.is_model("resnet18")
    with pytest.raises(ConfigError, match=r"unknown backbone 'resnet_18'\. Did you mean 'resnet18'\?"):
        build_backbone(load_cfg(None, ["MODEL.BACKBONE", "resnet_18"]).MODEL.BACKBONE)


def test_a_contradicting_input_dim_is_an_error():
    cfg = load_cfg(None, [*SMALL, "MODEL.HEAD.INPUT_DIM", "7"])
    with pytest.raises(ConfigError, match=r"INPUT_DIM: found 7, but backbone test_resnet gives 96"):
        build_model(cfg, classes_of(5, 3))


def test_a_head_has_linear_norm_activation_dropout_for_each_hidden_dim():
    cfg = load_cfg(
        None,
        [
            *("MODEL.HEAD.HIDDEN_DIMS", "[6, 4]", "MODEL.HEAD.DROPOUT", "0.3", "MODEL.HEAD.ACTIVATION", "gelu"),
            *("MODEL.HEAD.INPUT_DIM", "8", "MODEL.HEAD.OUTPUT_DIMS", "[2, 3]"),
        ],
    )
    head = build_head(cfg.MODEL.HEAD)
    names = [type(layer).__name__ for layer in head.hidden]
    assert names == ["Linear", "BatchNorm1d", "GELU", "Dropout"] * 2
    assert [(o.in_features, o.out_features) for o in head.outputs] == [(4, 2), (4, 3)]
    assert head.hidden[3].p == 0.3


def test_a_head_without_hidden_layers_reads_nothing_that_only_they_have():
    plain = ["MODEL.HEAD.INPUT_DIM", "8", "MODEL.HEAD.OUTPUT_DIMS", "[2]"]
    cfg, read = track_reads(load_cfg(None, plain))
    build_head(cfg.MODEL.HEAD)
    assert "MODEL.HEAD.HIDDEN_DIMS" in read and "MODEL.HEAD.DROPOUT" not in read
    cfg, read = track_reads(load_cfg(None, [*plain, "MODEL.HEAD.HIDDEN_DIMS", "[4]"]))
    build_head(cfg.MODEL.HEAD)
    assert "MODEL.HEAD.DROPOUT" in read


def test_the_kaiming_head_has_zero_biases():
    cfg = load_cfg(None, ["MODEL.HEAD.NAME", "simple_head_kaiming", "MODEL.HEAD.INPUT_DIM", "512"])
    head = build_head(type(cfg)({**cfg.MODEL.HEAD, "OUTPUT_DIMS": (400,)}))
    assert head.outputs[0].bias.abs().sum() == 0
    assert head.outputs[0].weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
