"""Values of a config by dotted key."""

from typing import Any

from yacs.config import CfgNode


def get_value(cfg: CfgNode, key: str) -> Any:
    """Returns the value of a dotted key."""
    node = cfg
    for part in key.split("."):
        node = node[part]
    return node


def set_value(cfg: CfgNode, key: str, value: Any) -> None:
    """Sets a dotted key of a config that is not frozen; the value must be checked already."""
    *parents, leaf = key.split(".")
    node = cfg
    for parent in parents:
        node = node[parent]
    node[leaf] = value
