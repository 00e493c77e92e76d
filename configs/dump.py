"""Writes a config as YAML that loads back to an equal config."""

import json
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.defaults import DERIVED, KEYS
from configs.yaml_file import yaml_text

_ENVIRONMENT = "# environment: "


def dump_cfg(cfg: CfgNode, derived: CfgNode | None = None, environment: dict[str, Any] | None = None) -> str:
    """Returns the YAML text of a config, without secrets.

    Args:
        cfg: the config as loaded.
        derived: the same config with derived values filled in; they are written as comments, so that the file still
            works after the backbone or the data set in it is changed.
        environment: what the numbers depend on besides the config (versions, CPU), written as a comment line.
    """
    lines = [_ENVIRONMENT + json.dumps(environment)] if environment else []
    lines += _node_lines(cfg, derived, "")
    return "\n".join(lines) + "\n"


def _node_lines(node: CfgNode, derived: CfgNode | None, path: str) -> list[str]:
    lines = []
    indent = "  " * (path.count(".") + 1 if path else 0)
    resolved = dict(derived.items()) if derived is not None else {}
    for name, value in node.items():
        key = f"{path}.{name}" if path else name
        filled_in = resolved.get(name)
        if isinstance(value, CfgNode):
            lines += [f"{indent}{name}:", *_node_lines(value, filled_in, key)]
        elif key in DERIVED and value == KEYS[key].default and filled_in not in (None, value):
            lines.append(f"{indent}# {name}: {_value_text(KEYS[key].rule.to_yaml(filled_in))}  (derived)")
        elif not KEYS[key].is_secret:
            lines.append(f"{indent}{name}: {_value_text(KEYS[key].rule.to_yaml(value))}")
    return lines


def _value_text(value: Any) -> str:
    return yaml_text(value, flow=True).removesuffix("...\n").strip()


def recorded_environment(path: str | Path) -> dict[str, Any]:
    """Returns the environment that a dumped config records, or an empty dict if it records none."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(_ENVIRONMENT):
            try:
                recorded = json.loads(line.removeprefix(_ENVIRONMENT))
            except json.JSONDecodeError:
                return {}
            return recorded if isinstance(recorded, dict) else {}
    return {}
