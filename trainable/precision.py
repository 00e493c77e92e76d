"""Automatic mixed precision."""

import torch

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(amp: str, device: torch.device) -> torch.autocast:
    """Returns the context in which a model computes.

    Args:
        amp: MODEL.SOLVER.AMP: none, bf16 or fp16.
        device: where the model is.
    """
    return torch.autocast(device.type, _TYPES.get(amp, torch.bfloat16), enabled=amp != "none")
