"""The registry of backbones."""

from configs.registry import Registry

# Builders take the MODEL.BACKBONE node and return a module that maps images of shape (batch, channels, height, width)
# to features of shape (batch, num_features), and has `num_features` as an attribute.
BACKBONE_REGISTRY = Registry("backbone", "MODEL.BACKBONE.NAME")
