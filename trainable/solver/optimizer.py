"""Optimizers by name.

Those of torch are fused: one pass over the weights a step, a third of the time on a CPU, and the same bits with any
number of threads.
"""

from collections.abc import Callable, Iterable
from typing import Any

import timm.optim
import torch
from torch.optim import Optimizer
from yacs.config import CfgNode

from configs.errors import ConfigError
from trainable.solver.registry import OPTIMIZER_REGISTRY

Parameters = Iterable[torch.nn.Parameter] | list[dict[str, Any]]


@OPTIMIZER_REGISTRY.register("sgd")
def build_sgd(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(
        parameters,
        lr=optimizer_cfg.BASE_LR,
        momentum=optimizer_cfg.SGD.MOMENTUM,
        nesterov=optimizer_cfg.SGD.NESTEROV,
        weight_decay=optimizer_cfg.WEIGHT_DECAY,
        fused=True,
    )


@OPTIMIZER_REGISTRY.register("adam")
def build_adam(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Adam (Kingma and Ba 2015); WEIGHT_DECAY is an L2 penalty."""
    return torch.optim.Adam(
        parameters,
        lr=optimizer_cfg.BASE_LR,
        betas=optimizer_cfg.ADAM.BETAS,
        eps=optimizer_cfg.ADAM.EPS,
        weight_decay=optimizer_cfg.WEIGHT_DECAY,
        fused=True,
    )


@OPTIMIZER_REGISTRY.register("adamw")
def build_adamw(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""
    return torch.optim.AdamW(
        parameters,
        lr=optimizer_cfg.BASE_LR,
        betas=optimizer_cfg.ADAM.BETAS,
        eps=optimizer_cfg.ADAM.EPS,
        weight_decay=optimizer_cfg.WEIGHT_DECAY,
        fused=True,
    )


def build_timm_optimizer(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Any optimizer of timm by timm's name, with its own defaults for all but BASE_LR and WEIGHT_DECAY.

    Raises:
        ConfigError: it needs a package or a device that is not here.
    """
    name = optimizer_cfg.NAME
    try:
        return timm.optim.create_optimizer_v2(
            parameters, opt=name, lr=optimizer_cfg.BASE_LR, weight_decay=optimizer_cfg.WEIGHT_DECAY
        )
    except Exception as error:  # bitsandbytes or apex is missing, or it takes no weight decay ...
        raise ConfigError(f"{name} cannot be built here: {error}", key="MODEL.SOLVER.OPTIMIZER.NAME") from error


def find_optimizer(name: str) -> Callable[[CfgNode, Parameters], Optimizer]:
    """Returns the builder of an optimizer by its name.

    Raises:
        ConfigError: unknown name.
    """
    if name in OPTIMIZER_REGISTRY:
        return OPTIMIZER_REGISTRY[name]
    known = timm.optim.list_optimizers()
    if name in known:
        return build_timm_optimizer
    raise OPTIMIZER_REGISTRY.unknown(name, known, "timm.optim.list_optimizers()")


def build_optimizer(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Builds the optimizer that MODEL.SOLVER.OPTIMIZER.NAME names: a registered one, or one of timm.

    Raises:
        ConfigError: unknown name, or an optimizer that needs a package or a device that is not here.
    """
    return find_optimizer(optimizer_cfg.NAME)(optimizer_cfg, parameters)


def parameter_groups(model: torch.nn.Module, optimizer_cfg: CfgNode) -> list[dict[str, Any]]:
    """Returns the parameters to be trained, those of the backbone in a group with a learning rate of its own.

    Args:
        model: its backbone, if it has one, is its attribute `backbone`.
        optimizer_cfg: BASE_LR and BACKBONE_LR_FACTOR.
    """
    backbone = getattr(model, "backbone", None)
    of_backbone = {id(parameter) for parameter in backbone.parameters()} if backbone is not None else set()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if optimizer_cfg.BACKBONE_LR_FACTOR == 1:
        return [{"params": trained}]
    rest = {"params": [parameter for parameter in trained if id(parameter) not in of_backbone]}
    slower = {
        "params": [parameter for parameter in trained if id(parameter) in of_backbone],
        "lr": optimizer_cfg.BASE_LR * optimizer_cfg.BACKBONE_LR_FACTOR,
    }
    return [group for group in (rest, slower) if group["params"]]
