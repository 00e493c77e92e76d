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


def flatten(cfg: CfgNode, prefix: str = "") -> dict[str, Any]:
    """Returns all values of a config by dotted key."""
    values: dict[str, Any] = {}
    for name, value in cfg.items():
        if isinstance(value, CfgNode):
            values |= flatten(value, f"{prefix}{name}.")
        else:
            values[f"{prefix}{name}"] = value
    return values


def plain(value: Any) -> Any:
    """Returns a value as YAML and JSON hold it: lists for the tuples of a config."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value
