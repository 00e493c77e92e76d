"""A stack of fully connected layers."""

from collections.abc import Sequence

from torch import nn

from trainable.layers.activation import ACTIVATIONS


def hidden_layers(
    input_dim: int, hidden_dims: Sequence[int], activation: str, batch_norm: bool, dropout: float
) -> nn.Sequential:
    """Linear, batch norm, activation and dropout for each of `hidden_dims`.

    Maps (batch, input_dim) to (batch, hidden_dims[-1]), or to itself if there are none.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in zip([input_dim, *hidden_dims], hidden_dims, strict=False):
        layers.append(nn.Linear(width_in, width_out))
        if batch_norm:
            layers.append(nn.BatchNorm1d(width_out))
        layers += [ACTIVATIONS[activation](), nn.Dropout(dropout)]
    return nn.Sequential(*layers)
