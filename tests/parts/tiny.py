"""Parts of a user, registered through USER_MODULES: small, quick, or misbehaving."""

import os
import random
import time

import numpy as np
import torch
from torch import nn

from trainable.backbone.registry import BACKBONE_REGISTRY
from trainable.head.registry import HEAD_REGISTRY
from trainable.head.simple_head import SimpleHead
from trainable.solver.registry import LOSS_REGISTRY


class TinyBackbone(nn.Module):
    """One convolution."""

    num_features = 8

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())

    def forward(self, images):
        return self.layers(images).amax(dim=(2, 3))  # torch's max pooling has no deterministic kernels on GPUs


@BACKBONE_REGISTRY.register("tiny")
def build_tiny(backbone_cfg):
    return TinyBackbone(3 if backbone_cfg.RGB else 1)


class SlowBackbone(TinyBackbone):
    """Takes a quarter of a second more an epoch, in which the processor is free."""

    def forward(self, images):
        if not self.training and len(images) < 32:  # the last batch of the evaluation is incomplete
            time.sleep(0.25)
        return super().forward(images)


@BACKBONE_REGISTRY.register("slow_tiny")
def build_slow_tiny(backbone_cfg):
    return SlowBackbone(3 if backbone_cfg.RGB else 1)


class SpoilingHead(SimpleHead):
    """At the end of an epoch, leaves the process in a state in which nobody would like to train."""

    def forward(self, features):
        outputs = super().forward(features)
        if not self.training and len(features) < 32:  # the last batch of the evaluation is incomplete
            random.seed(1)
            np.random.seed(1)
            torch.manual_seed(1)
            torch.set_num_threads(2)
            torch.set_default_dtype(torch.float64)
            torch.backends.cudnn.benchmark = True
            torch.backends.cudnn.deterministic = True
            torch.backends.mkldnn.enabled = False
            torch.use_deterministic_algorithms(True)
            os.environ["SEED"] = "99"
            os.environ["MODEL__HEAD__DROPOUT"] = "0.5"
            os.chdir("/")
        return outputs


@HEAD_REGISTRY.register("spoiling_head")
def build_spoiling_head(head_cfg):
    print("built in", os.getcwd())
    os.system("echo a child process speaks")  # not through Python's sys.stdout
    return SpoilingHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


class RaisingHead(SimpleHead):
    """Stands the two images that are tried before a search, but no real batch."""

    def forward(self, features):
        if len(features) > 2:
            raise RuntimeError("this head always raises")
        return super().forward(features)


@HEAD_REGISTRY.register("raising_head")
def build_raising_head(head_cfg):
    return RaisingHead(head_cfg.INPUT_DIM, head_cfg.OUTPUT_DIMS)


@HEAD_REGISTRY.register("unbuildable_head")
def build_unbuildable_head(head_cfg):
    raise RuntimeError("this head cannot be built")


@LOSS_REGISTRY.register("nan_loss")
def build_nan_loss(loss_cfg):
    return lambda logits, labels: logits.sum(dim=1) * float("nan")


@HEAD_REGISTRY.register("bare_head")
def build_bare_head(head_cfg):
    """Returns a tensor, where a list of one tensor a task is asked for."""
    return nn.Linear(head_cfg.INPUT_DIM, sum(head_cfg.OUTPUT_DIMS))
