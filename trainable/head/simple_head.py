"""A few fully connected layers, then one linear layer a task."""

from collections.abc import Sequence

import torch
from torch import nn
from yacs.config import CfgNode

from trainable.head.registry import HEAD_REGISTRY
from trainable.layers.hidden_layers import hidden_layers


class SimpleHead(nn.Module):
    """Hidden layers that all tasks share, then one linear layer a task.

    Args:
        input_dim: size of the feature vector.
        output_dims: number of classes of each task.
        hidden_dims: sizes of the hidden layers; may be empty.
        activation: by name, see layers/activation.py.
        batch_norm: after each hidden linear layer.
        dropout: after each activation.
    """

    def __init__(
        self,
        input_dim: int,
        output_dims: Sequence[int],
        hidden_dims: Sequence[int] = (),
        activation: str = "relu",
        batch_norm: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.hidden = hidden_layers(input_dim, hidden_dims, activation, batch_norm, dropout)
        width = hidden_dims[-1] if hidden_dims else input_dim
        self.outputs = nn.ModuleList(nn.Linear(width, output_dim) for output_dim in output_dims)

    def forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        """Maps (batch, input_dim) to a list of logits (batch, output_dim), one a task."""
        hidden = self.hidden(features)
        return [output(hidden) for output in self.outputs]


@HEAD_REGISTRY.register("simple_head_module")
def build_simple_pred_head(head_cfg: CfgNode) -> SimpleHead:
    """A SimpleHead with torch's own initial weights."""
    if not head_cfg.HIDDEN_DIMS:  # the other keys are not read: so a search knows that they do nothing
        return SimpleHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)
    return SimpleHead(
        head_cfg.INPUT_DIM,
        head_cfg.OUTPUT_DIMS,
        head_cfg.HIDDEN_DIMS,
        head_cfg.ACTIVATION,
        head_cfg.BATCH_NORM,
        head_cfg.DROPOUT,
    )


@HEAD_REGISTRY.register("simple_head_kaiming")
def build_simple_kaiming_head(head_cfg: CfgNode) -> SimpleHead:
    """A SimpleHead with Kaiming's normal weights (He et al. 2015) and zero biases."""
    head = build_simple_pred_head(head_cfg)
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
    return head
