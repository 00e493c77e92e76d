"""The one way to a config: defaults < YAML < command line (or search samples) < .env and environment."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.consistency import inconsistencies
from configs.defaults import KEYS, Key, get_cfg_defaults
from configs.errors import ConfigError, Problem, Problems
from configs.formats import changed_defaults
from configs.legal import HintError
from configs.settings import (
    Setting,
    refuse_both,
    settings_from_command_line,
    settings_from_environment,
    settings_from_yaml,
)
from configs.tree import flatten, get_value, set_value
from configs.user_modules import announced
from configs.yaml_file import YamlMap, parse_yaml, read_yaml

# What may differ between a training and its continuation: it changes neither a number nor which epoch is the best.
FREE_ON_RESUME = (
    *("OUTPUT_PATH", "RESUME_PATH", "MODEL_BACKUPS", "TENSORBOARD", "TENSORBOARD_GRAPH"),
    *("DATASET.NUM_WORKERS", "DATASET.CACHE"),
    *("DATASET.PATH_DATA_RAW", "DATASET.PATH_DATA_PROCESSED", "DATASET.PATH_VALIDATION"),
)


@dataclass(frozen=True)
class LoadedConfig:
    """A config, and what people should know about it.

    Attributes:
        cfg: frozen.
        sources: where keys were given that are not at their default, in words that lead a message.
        given: all settings, the strongest last, also those that others win over.
        notes: which values of the YAML, or of the defaults, .env and the environment change, and whose code runs.
    """

    cfg: CfgNode
    sources: dict[str, str]
    given: list[Setting]
    notes: list[str]


def read_cfg(path: str | Path | None = None, pairs: Sequence[str] = (), with_environment: bool = True) -> LoadedConfig:
    """Reads the config of a YAML file, `KEY VALUE` pairs, .env and the environment.

    Args:
        path: an experiment YAML, or None for the defaults alone.
        pairs: KEY, VALUE, KEY, VALUE ... as on the command line.
        with_environment: whether .env and the environment have a say.

    Raises:
        ConfigError: with every mistake that was found.
    """
    problems = Problems()
    read = (lambda: read_yaml(path)) if path is not None else None
    from_yaml, from_command_line, from_environment = collect_settings(read, pairs, with_environment, problems)
    refuse_both(from_command_line, from_environment, problems)
    given = [*from_yaml, *from_command_line, *from_environment]
    cfg = build_cfg(given, problems)
    sources = sources_of(given)
    notes = [
        *overruled(from_yaml, from_environment),
        *announced(cfg.USER_MODULES, sources.get("USER_MODULES", "")),
    ]
    return LoadedConfig(cfg, sources, given, notes)


def load_cfg(path: str | Path | None = None, pairs: Sequence[str] = (), with_environment: bool = True) -> CfgNode:
    """Returns the config that `read_cfg` reads."""
    return read_cfg(path, pairs, with_environment).cfg


def collect_settings(
    read: Callable[[], YamlMap] | None, pairs: Sequence[str], with_environment: bool, problems: Problems
) -> tuple[list[Setting], list[Setting], list[Setting]]:
    """Returns the settings of a YAML, of the command line, and of .env and the environment.

    Args:
        read: reads the YAML; None: there is none.
        pairs: KEY, VALUE, KEY, VALUE ... as on the command line.
        with_environment: whether .env and the environment have a say.
        problems: what is wrong is added here.

    Raises:
        ConfigError: the YAML cannot be read; with all that is wrong elsewhere.
    """
    from_yaml: list[Setting] | None = []
    try:
        from_yaml = settings_from_yaml(read(), problems) if read else []
    except ConfigError as error:
        from_yaml = None
        problems += error.problems
    from_command_line = settings_from_command_line(pairs, problems)
    from_environment = settings_from_environment(problems) if with_environment else []
    if from_yaml is None:
        for setting in (*from_command_line, *from_environment):
            read_setting(setting, problems)
        raise ConfigError(problems)
    return from_yaml, from_command_line, from_environment


def sources_of(settings: Iterable[Setting]) -> dict[str, str]:
    """Returns where each key was given, of later settings rather than of earlier ones."""
    return {setting.key: setting.source for setting in settings}


def overruled(from_yaml: Iterable[Setting], from_environment: Iterable[Setting]) -> list[str]:
    """Returns, in words, which legal values of a YAML, or of the defaults, .env and the environment change.

    Secrets, and keys that change no number, are left out.
    """
    by_key = {setting.key: setting for setting in from_yaml}
    changes = []
    for setting in {setting.key: setting for setting in from_environment}.values():
        key = KEYS[setting.key]
        if key.is_secret or setting.key in FREE_ON_RESUME:
            continue
        given = by_key.get(setting.key) or Setting(setting.key, key.default, "the defaults")
        before, now = (read_setting(one, Problems()) for one in (given, setting))
        if before != now:
            changes.append(
                f"{setting.source}: {key.name} is {shown(key, now)}, in place of {shown(key, before)} in {given.source}"
            )
    return changes


def build_cfg(settings: Iterable[Setting], problems: Iterable[Problem] = (), base: CfgNode | None = None) -> CfgNode:
    """Returns the frozen config of settings, later ones winning.

    Args:
        settings: from the weakest source to the strongest.
        problems: what was found wrong before; reported together with what is found here.
        base: the config that is changed, itself left alone; without it, the defaults.

    Raises:
        ConfigError: with every mistake.
    """
    problems = Problems(problems)
    cfg = base.clone() if base is not None else get_cfg_defaults()
    cfg.defrost()
    legal: list[Setting] = []
    settings = list(settings)
    last = {setting.key: setting for setting in settings}
    for setting in settings:
        if last[setting.key] is not setting and KEYS[setting.key].rule.asks_for_files:
            continue  # a file that was moved is no mistake where another is given in its place
        value = read_setting(setting, problems)
        if value is not _REFUSED:
            set_value(cfg, setting.key, value)
            legal.append(setting)
    problems += inconsistencies(cfg, sources_of(legal))
    problems.check()
    cfg.freeze()
    return cfg


_REFUSED = object()


def read_setting(setting: Setting, problems: Problems) -> Any:
    """Returns a setting's value as the config holds it; adds to `problems` and returns a marker if it is illegal."""
    key = KEYS[setting.key]
    if key.is_secret and not setting.is_from_environment:
        problems.add(
            source=setting.source, message=f"{key.name} is a secret; it is read only from .env or the environment"
        )
        return _REFUSED
    try:
        return key.rule.read(setting.value)
    except (ValueError, OverflowError) as error:
        hint = f" {error}" if isinstance(error, HintError) and str(error) else ""
        problems.add(
            source=setting.source,
            message=f"{key.name}: found {shown(key, setting.value)}, allowed is {key.rule.allowed}.{hint}",
        )
        return _REFUSED


def shown(key: Key, value: Any) -> str:
    """A value for a message: as YAML would write it, secrets masked, never longer than a line."""
    if key.is_secret:
        return "(a secret)"
    if isinstance(value, float):
        return f"{value:.10g}"  # 1.7 for the last float below it
    if value is None:
        return "null"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else f"{text:.77}..."


def cfg_from_text(text: str, source: str) -> CfgNode:
    """Returns the frozen config of a dumped one, without .env and the environment.

    Args:
        text: from `dump_cfg`.
        source: where it is from, for messages.
    """
    problems = Problems()
    return build_cfg(settings_from_yaml(parse_yaml(text, source), problems), problems)


def cfg_of(values: Mapping[str, Any], source: str) -> CfgNode:
    """Returns the frozen config of values by key.

    Args:
        values: of all keys, or of some.
        source: where they are from, for messages.
    """
    return build_cfg(Setting(key, value, source) for key, value in values.items())


def changed_keys(before: CfgNode, now: CfgNode, free: Sequence[str] = ()) -> list[str]:
    """Returns the keys whose values differ between two configs.

    Args:
        before: one config.
        now: the other.
        free: keys that may differ; secrets always may.
    """
    old, new = flatten(before), flatten(now)
    return [name for name, key in KEYS.items() if name not in free and not key.is_secret and old[name] != new[name]]


def differences(before: CfgNode, now: CfgNode, free: Sequence[str] = ()) -> list[str]:
    """Returns `changed_keys` in words, as `SEED was 0 and is 1 now`."""
    return [
        f"{name} was {get_value(before, name)!r} and is {get_value(now, name)!r} now"
        for name in changed_keys(before, now, free)
    ]


def as_begun(before: CfgNode, now: CfgNode, sources: Mapping[str, str]) -> CfgNode:
    """Returns the config that a training or a search goes on with, which may have begun with other defaults.

    Args:
        before: the config that it was begun with.
        now: the config that it is to go on with.
        sources: where keys of `now` were given; of the others, those whose defaults have changed stay as they were.
    """
    return with_values(now, {key: get_value(before, key) for key in changed_defaults() - sources.keys()})


def export_secrets(cfg: CfgNode) -> None:
    """Puts secrets into the process environment, where a user's parts and worker processes find them."""
    for key in KEYS.values():
        if key.is_secret and get_value(cfg, key.name):
            os.environ[key.name] = get_value(cfg, key.name)


def with_values(cfg: CfgNode, values: dict[str, Any]) -> CfgNode:
    """Returns a frozen copy of a config with some keys changed to values that are legal already."""
    changed = cfg.clone()
    changed.defrost()
    for key, value in values.items():
        set_value(changed, key, value)
    changed.freeze()
    return changed


def settings_at(cfg: CfgNode, epoch: int) -> dict[str, Any]:
    """Returns the keys that have another value in an epoch than the config says, by its LINEAGE, with that value.

    Args:
        cfg: a loaded config.
        epoch: counted from 1.
    """
    values = next((values for _, _, last, values in cfg.LINEAGE if epoch <= last), ())
    return {key: KEYS[key].rule.read(value) for key, value in values}
