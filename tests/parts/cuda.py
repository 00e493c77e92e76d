"""Heads that tell or misuse the memory of a GPU, registered through USER_MODULES."""

import torch

from trainable.head.registry import HEAD_REGISTRY
from trainable.head.simple_head import SimpleHead


class LargeHead(SimpleHead):
    """Holds 512 MiB."""

    def __init__(self, input_dim, output_dims):
        super().__init__(input_dim, output_dims)
        print("allocated before:", torch.cuda.memory_allocated())
        self.register_buffer("ballast", torch.zeros(2**27), persistent=False)  # not in checkpoints


@HEAD_REGISTRY.register("large_head")
def build_large_head(head_cfg):
    return LargeHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


class HungryHead(SimpleHead):
    """Wants more memory than any GPU has, but for the two images that are tried before a search."""

    def forward(self, features):
        if len(features) > 2:
            torch.empty(2**50, device=features.device)
        return super().forward(features)


@HEAD_REGISTRY.register("hungry_head")
def build_hungry_head(head_cfg):
    return HungryHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


class AssertingHead(SimpleHead):
    """Reads where nothing is, after which the process can use its GPU no more."""

    def forward(self, features):
        if len(features) > 2:
            features = features[torch.full((len(features),), len(features), device=features.device)]
        return super().forward(features)


@HEAD_REGISTRY.register("asserting_head")
def build_asserting_head(head_cfg):
    return AssertingHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)
