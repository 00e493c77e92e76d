"""Settings: a key, its value and where it was given. They come from YAML, the command line, .env and environment."""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dotenv import dotenv_values, find_dotenv
from dotenv.parser import parse_stream

from configs.defaults import KEYS, NODES, TOP_LEVEL
from configs.errors import Problems, did_you_mean
from configs.formats import KEY, RENAMED, before, format_of
from configs.relative_paths import folders_beside, located
from configs.yaml_file import YamlMap

COMMAND_LINE = "command line"  # a source of settings


@dataclass(frozen=True)
class Setting:
    """A value for one key.

    Attributes:
        key: dotted name of a leaf of the tree.
        value: as given, not yet checked.
        source: where it was given, in words that lead a message: `head.yaml, line 3`.
        is_from_environment: whether that was .env or the process environment, from where alone secrets are taken.
    """

    key: str
    value: Any
    source: str
    is_from_environment: bool = False


_SECRET_NAMES = "|".join(re.escape(name) for name, key in KEYS.items() if key.is_secret)


def without_secrets(text: str) -> str:
    """Returns text of the user's for a message: what follows a secret's name, as in GCP_KEY=..., is left out."""
    return re.sub(rf"\b({_SECRET_NAMES})(?=\b|__).+", r"\1...", text, flags=re.DOTALL | re.IGNORECASE)


def settings_from_yaml(tree: YamlMap, problems: Problems) -> list[Setting]:
    """Flattens a YAML mapping, nested or with dotted keys, into settings; adds what is wrong to `problems`."""
    if "space" in tree:
        problems.add(f"{tree.file}: is a space file; search it with: python -m search.run --space {tree.file}")
        return []
    folders = folders_beside(tree.file)
    settings = [replace(one, value=located(one.key, one.value, folders)) for one in _walk(tree, problems, "")]
    refuse_repeated(settings, problems)
    return _in_this_format(settings, tree.file)


def _in_this_format(settings: list[Setting], file: str) -> list[Setting]:
    """Returns the settings of a YAML, with what an older format leaves unsaid."""
    given = {setting.key: setting.value for setting in settings}
    try:
        format_ = KEYS[KEY].rule.read(format_of(given, len(KEYS)))
    except ValueError:  # told where the values are read
        return settings
    unsaid = [Setting(key, value, f"{file}, format {format_}") for key, value in before(format_).items()]
    return [
        *(setting for setting in settings if setting.key != KEY),
        *(setting for setting in unsaid if setting.key not in given),
    ]


def _walk(tree: YamlMap, problems: Problems, prefix: str) -> Iterable[Setting]:
    for name, value in tree.items():
        key = f"{prefix}.{name}" if prefix else name
        if key in NODES and isinstance(value, YamlMap):
            yield from _walk(value, problems, key)
            continue
        leaf = resolve_name(key, value, tree.where(name), problems)
        if leaf:
            yield Setting(leaf, value, tree.where(name))


def resolve_name(key: str, value: Any, source: str, problems: Problems) -> str | None:
    """Returns the leaf that `key` names: itself, or its NAME where a plain name is given for a node that has one."""
    key = RENAMED.get(key, key)
    if key in KEYS:
        return key
    if key in NODES:
        if isinstance(value, str) and f"{key}.NAME" in KEYS:
            return f"{key}.NAME"
        inside = ", ".join(name for name in (*NODES, *KEYS) if name.rsplit(".", 1)[0] == key and name != key)
        problems.add(f"{source}: {key}: found {value!r}, but this is a group of keys: {inside}")
        return None
    shown = without_secrets(key)
    problems.add(f"{source}: unknown key {shown!r}.{_meant(shown) or did_you_mean(shown, [*KEYS, *NODES])}")
    return None


def _meant(key: str) -> str:
    """Returns ` Did you mean 'x'?` for the shortest key of the same group whose name has the given one in it."""
    group, _, name = key.rpartition(".")
    inside = [
        known for known in KEYS if known.rpartition(".")[0] == group and name.lower() in known[len(group) :].lower()
    ]
    return f" Did you mean {min(inside, key=len)!r}?" if group and name and inside else ""


def refuse_repeated(settings: Sequence[Setting], problems: Problems) -> None:
    """Reports keys that one source gives twice, as in `MODEL.HEAD.NAME` beside `MODEL: {HEAD: {NAME: ...}}`."""
    first: dict[str, Setting] = {}
    for setting in settings:
        earlier = first.setdefault(setting.key, setting)
        if earlier is not setting:
            problems.add(
                source=setting.source, message=f"{setting.key} is given already in {earlier.source}; remove one of them"
            )


def settings_from_command_line(pairs: Sequence[str], problems: Problems) -> list[Setting]:
    """Reads trailing `KEY VALUE KEY VALUE` arguments."""
    source = COMMAND_LINE
    if len(pairs) % 2:
        last = without_secrets(pairs[-1])
        example = " ".join(last.split("=", 1)) if "=" in last else f"{last} VALUE"
        problems.add(f"{source}: {last!r} has no value; write KEY VALUE pairs, as in: {example}")
    settings = []
    for key, value in zip(pairs[::2], pairs[1::2], strict=False):
        leaf = resolve_name(key, value, source, problems)
        if leaf:
            settings.append(Setting(leaf, value, source))
    refuse_repeated(settings, problems)
    return settings


def settings_from_environment(problems: Problems) -> list[Setting]:
    """Reads our keys from the nearest .env (from the working folder upwards) and from the process environment.

    Names are written `DATASET.PATH_DATA_RAW` or `DATASET__PATH_DATA_RAW`. The process environment wins over .env, as
    is usual with .env files, and comes after it. Names whose first part is no top node of ours are left alone; the
    bare name of a node, as in MODEL, is left alone in the process environment only, where it may be anybody's.
    """
    from_file = _settings_from_names(_read_env_file(problems), problems)
    refuse_repeated(from_file, problems)
    named = [(name, value, f"environment variable {name}") for name, value in os.environ.items() if name not in NODES]
    from_process = _settings_from_names(named, problems)
    return [*from_file, *from_process]


def _read_env_file(problems: Problems) -> list[tuple[str, str | None, str]]:
    """Returns name, value and place of each line of the nearest .env."""
    file = find_dotenv(usecwd=True)
    if not file:
        return []
    logging.getLogger("dotenv").setLevel(logging.ERROR)  # lines that it cannot read are reported here, if they are ours
    try:
        values = dotenv_values(file)  # with ${OTHER} filled in
        with open(file, encoding="utf-8") as stream:
            lines = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        problems.add(f".env ({file}): cannot be read as text: {error}")
        return []
    named = []
    for line in lines:
        text = line.original.string
        skipped = text[: len(text) - len(text.lstrip())].count("\n")  # empty lines before it
        where = f".env ({file}), line {line.original.line + skipped}"
        name = re.split(r"[\s=:]", re.sub(r"^export\s+", "", text.strip()))[0]  # not the value, which may be a secret
        value = values.get(line.key) if line.key is not None else None
        is_ours = re.split(r"__|\.", name)[0] in TOP_LEVEL
        if is_ours and (line.error or line.key != name):
            problems.add(source=where, message=f"the line of {name} cannot be read; write {name}=value")
        elif is_ours and value in ("{", "["):
            problems.add(
                source=where,
                message=f"the value of {name} ends with its line; put one of several lines in single quotes",
            )
        elif line.key is not None:
            named.append((line.key, value, where))
    return named


def _settings_from_names(named: Iterable[tuple[str, str | None, str]], problems: Problems) -> list[Setting]:
    settings = []
    for name, value, source in named:
        key = name.replace("__", ".")
        if key.split(".")[0] not in TOP_LEVEL:
            continue
        if value is None:
            problems.add(f"{source}: {name} has no value; write {name}=value")
            continue
        leaf = resolve_name(key, value, source, problems)
        if leaf:
            settings.append(Setting(leaf, value, source, is_from_environment=True))
    return settings


def refuse_both(given: Iterable[Setting], environment: Iterable[Setting], problems: Problems) -> None:
    """Reports keys given on the command line (or searched) that .env would silently override."""
    by_key = {setting.key: setting for setting in environment}
    for setting in given:
        if setting.key in by_key:
            problems.add(
                source=setting.source,
                message=f"{setting.key} is also set by {by_key[setting.key].source}, which would win; "
                "remove one of them",
            )
