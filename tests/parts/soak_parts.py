"""A head of a user with which about one trial in twenty has a fault, by its dropout."""

import os
import signal

import torch

from trainable.head.registry import HEAD_REGISTRY
from trainable.head.simple_head import SimpleHead

# of the trials, in shares of the range of MODEL.HEAD.DROPOUT, which is sampled from 0 to 1
FAULTS = {"raise": 0.02, "nan": 0.02, "memory": 0.005, "kill": 0.005}


def fault_of(dropout: float) -> str | None:
    """Returns what happens to a trial with this dropout."""
    place = dropout * 1000 % 1  # not by its size, so that the sampler learns nothing from it
    for fault, share in FAULTS.items():
        if place < share:
            return fault
        place -= share
    return None


class SoakHead(SimpleHead):
    """Has its fault when it sees its first real batch."""

    def __init__(self, input_dim, output_dims, dropout):
        super().__init__(input_dim, output_dims, (8,), dropout=dropout)
        self.fault = fault_of(dropout)

    def forward(self, features):
        outputs = super().forward(features)
        if len(features) <= 2 or self.fault is None:
            return outputs
        if self.fault == "raise":
            raise RuntimeError("a fault of this trial")
        if self.fault == "memory":
            raise torch.OutOfMemoryError("out of memory, as a GPU says it")
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return [output * float("nan") for output in outputs]


@HEAD_REGISTRY.register("soak_head")
def build_soak_head(head_cfg):
    return SoakHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS, head_cfg.DROPOUT)
