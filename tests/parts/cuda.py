"""Heads that tell or misuse the memory of a GPU, registered through USER_MODULES."""

import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import torch

from trainable.head.registry import HEAD_REGISTRY
from trainable.head.simple_head import SimpleHead


class LargeHead(SimpleHead):
    """Holds 512 MiB."""

    def __init__(self, input_dim, output_dims):
        super().__init__(input_dim, output_dims)
        print("allocated before:", torch.cuda.memory_allocated())
        # Whole numbers are not copied before an epoch, as the floats are that a skipped step must not change.
        self.register_buffer("ballast", torch.zeros(2**29, dtype=torch.uint8), persistent=False)  # not in checkpoints


@HEAD_REGISTRY.register("large_head")
def build_large_head(head_cfg):
    return LargeHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


class HungryHead(SimpleHead):
    """Wants three tenths of the device, but for the two images that are tried before a search."""

    def forward(self, features):
        if len(features) > 2:
            torch.empty(int(0.3 * torch.cuda.mem_get_info()[1]), dtype=torch.uint8, device=features.device)
        return super().forward(features)


@HEAD_REGISTRY.register("hungry_head")
def build_hungry_head(head_cfg):
    return HungryHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


_others: list[subprocess.Popen] = []

TAKE_NEARLY_ALL = """
import os, time, torch
parent = os.getppid()
free = torch.cuda.mem_get_info()[0]
taken = torch.empty(free - 2**29, dtype=torch.uint8, device="cuda")
print("taken", flush=True)
while os.getppid() == parent and not os.path.exists("leave"):
    time.sleep(0.1)
"""


class CrowdedHead(SimpleHead):
    """At the first try, another process has taken nearly all memory of the device; at the second it is gone."""

    def forward(self, features):
        note = Path("other.pid")
        if not note.exists():
            if len(features) <= 2:  # the images that are tried before an epoch
                return super().forward(features)
            other = subprocess.Popen([sys.executable, "-c", TAKE_NEARLY_ALL], stdout=PIPE)
            _others.append(other)  # not collected: it ends by itself
            other.stdout.readline()
            note.write_text(str(other.pid))
        elif note.read_text():
            Path("leave").touch()
            note.write_text("")
            deadline = time.monotonic() + 60
            while torch.cuda.mem_get_info()[0] < 2**31 and time.monotonic() < deadline:
                time.sleep(0.1)  # the driver takes more than a second to have 137 GiB back
        torch.empty(2**30, dtype=torch.uint8, device=features.device)
        return super().forward(features)


@HEAD_REGISTRY.register("crowded_head")
def build_crowded_head(head_cfg):
    return CrowdedHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


class AssertingHead(SimpleHead):
    """Reads where nothing is, after which the process can use its GPU no more."""

    def forward(self, features):
        if len(features) > 2:
            features = features[torch.full((len(features),), len(features), device=features.device)]
        return super().forward(features)


@HEAD_REGISTRY.register("asserting_head")
def build_asserting_head(head_cfg):
    return AssertingHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)
