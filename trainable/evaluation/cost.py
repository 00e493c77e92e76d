"""What a model costs: its parameters, and its arithmetic for one image."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def model_cost(model: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """Returns `params` and `macs`.

    `params` is the number of a model's parameters, frozen ones included; `macs` the multiply-accumulates for
    one image, those of convolutions and matrix products, as torch counts them.

    Args:
        model: is left in evaluation mode.
        image: of shape (1, channels, height, width), on the model's device.
    """
    model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    return {"params": sum(p.numel() for p in model.parameters()), "macs": counter.get_total_flops() // 2}
