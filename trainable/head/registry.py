"""The registry of heads."""

from configs.registry import Registry

# Builders take the MODEL.HEAD node, with INPUT_DIM and OUTPUT_DIMS filled in, and return a module that maps features
# of shape (batch, INPUT_DIM) to a list of logits of shape (batch, OUTPUT_DIMS[task]), one a task.
HEAD_REGISTRY = Registry("head", "MODEL.HEAD.NAME")
