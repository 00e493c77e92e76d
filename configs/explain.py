"""Says where the value of a key comes from, and what it won over."""

from collections.abc import Iterable, Sequence
from typing import Any

from configs.defaults import KEYS, NODES
from configs.errors import ConfigError, Problems, did_you_mean
from configs.loader import read_setting, shown
from configs.settings import Setting

DEFAULTS = "configs/defaults.py"


def keys_named(name: str) -> list[str]:
    """Returns the key of a name, or all keys below it where it is a node of the tree.

    Raises:
        ConfigError: it is neither.
    """
    if name in KEYS:
        return [name]
    if name in NODES:
        return [key for key in KEYS if key.startswith(f"{name}.")]
    hint = did_you_mean(name, [*KEYS, *NODES]) or did_you_mean(name.upper(), [*KEYS, *NODES])
    raise ConfigError(f"--explain: unknown key {name!r}.{hint}")


def explain(key: str, settings: Iterable[Setting], winner: tuple[Any, str] | None = None) -> list[str]:
    """Returns lines: the value of a key and where it comes from, then what that won over, the strongest first.

    Secrets are masked.

    Args:
        key: of the config.
        settings: from the weakest source to the strongest, as they are merged over the defaults.
        winner: a value that wins over all of them, and its source; None: the strongest of them wins.
    """
    layers = [(setting.value, setting.source) for setting in settings if setting.key == key]
    ranked = [*([winner] if winner else []), *reversed(layers), (KEYS[key].default, DEFAULTS)]
    (value, source), *others = [(_shown(key, value), source) for value, source in ranked]
    return [f"{key}: {value}  ({source})", *(f"  instead of {value}  ({source})" for value, source in others)]


def explain_all(name: str, settings: Sequence[Setting]) -> list[str]:
    """Returns what `explain` says of a key, or of each key below a node."""
    return [line for key in keys_named(name) for line in explain(key, settings)]


def _shown(key: str, value: Any) -> str:
    """Returns a value as the config would hold it; one that is illegal as it was given."""
    read = read_setting(Setting(key, value, "", is_from_environment=True), Problems())
    if KEYS[key].is_secret and not read:
        return "not set"
    return shown(KEYS[key], value if type(read) is object else KEYS[key].rule.to_yaml(read))
