"""Optimizers by name."""

from collections.abc import Iterable

import torch
from torch.optim import Optimizer
from yacs.config import CfgNode

from trainable.solver.registry import OPTIMIZER_REGISTRY

Parameters = Iterable[torch.nn.Parameter]


@OPTIMIZER_REGISTRY.register("sgd")
def build_sgd(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Stochastic gradient descent with momentum."""
    return torch.optim.SGD(
        parameters,
        lr=optimizer_cfg.BASE_LR,
        momentum=optimizer_cfg.SGD.MOMENTUM,
        nesterov=optimizer_cfg.SGD.NESTEROV,
        weight_decay=optimizer_cfg.WEIGHT_DECAY,
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
    )


def build_optimizer(optimizer_cfg: CfgNode, parameters: Parameters) -> Optimizer:
    """Builds the optimizer that MODEL.SOLVER.OPTIMIZER.NAME names."""
    return OPTIMIZER_REGISTRY[optimizer_cfg.NAME](optimizer_cfg, parameters)
