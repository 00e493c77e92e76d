"""The registry of meta architectures."""

from configs.registry import Registry

# Builders take the MODEL node, with HEAD.INPUT_DIM and HEAD.OUTPUT_DIMS filled in, and the backbone that was built for
# it. They return a module that maps images (batch, channels, height, width) to a list of logits, one a task.
META_ARCH_REGISTRY = Registry("meta architecture", "MODEL.META_ARCHITECTURE")
