"""From feature maps to feature vectors."""

import torch
from torch import nn


class GeM(nn.Module):
    """Generalised mean over places with a learnt power (Radenovic et al. 2018): 1 is the mean, infinity the maximum.

    Args:
        power: to start from.
        floor: smaller activations count as this.
    """

    def __init__(self, power: float = 3.0, floor: float = 1e-6):
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))
        self.floor = floor

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps (batch, channels, height, width) to (batch, channels)."""
        # in float32: the powers of small activations vanish in half precision
        maps = maps.float().clamp(min=self.floor)
        return maps.pow(self.power).mean(dim=(2, 3)).pow(1 / self.power)
