"""Reads a space file: which config keys are sampled, from what, and how to search."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.defaults import KEYS, NODES
from configs.errors import ConfigError, did_you_mean
from configs.legal import Int, Maybe
from configs.loader import read_setting
from configs.settings import Setting, refuse_repeated, resolve_name
from configs.yaml_file import YamlMap, read_yaml
from search.distributions import Choice, Distribution, read_distribution
from search.options import SearchOptions, read_options

WORDS = ("base", "search", "space")
NOT_YET = ("extends", "constraints")


@dataclass(frozen=True)
class Parameter:
    """A key that is sampled.

    Attributes:
        key: dotted name.
        distribution: what it is sampled from.
        source: where it is written, for messages.
    """

    key: str
    distribution: Distribution
    source: str


@dataclass(frozen=True)
class Space:
    """A space file, read and checked.

    Attributes:
        path: of the file.
        base: the experiment YAML that samples are merged over, or None for the defaults.
        options: how to search.
        parameters: the keys that are sampled, by name.
        constants: the keys that have one value in all trials.
    """

    path: Path
    base: Path | None
    options: SearchOptions
    parameters: dict[str, Parameter]
    constants: tuple[Setting, ...]


def read_space(path: str | Path) -> Space:
    """Reads a space file.

    Raises:
        ConfigError: with every mistake that was found.
    """
    problems: list[str] = []
    tree = read_yaml(path)
    for word in tree:
        if word in NOT_YET:
            problems.append(f"{tree.where(word)}: {word!r} is not supported by this version")
        elif word not in WORDS:
            hint = " Config keys stand under space:" if word.split(".")[0].isupper() else did_you_mean(word, WORDS)
            problems.append(f"{tree.where(word)}: unknown word {word!r}.{hint} Known: {', '.join(WORDS)}")

    base = tree.get("base")
    if "base" in tree and (not isinstance(base, str) or not base):
        problems.append(f"{tree.where('base')}: base: found {base!r}, expected the path of an experiment YAML")
        base = None
    options = _mapping(tree, "search", problems, lambda m: read_options(m, problems), SearchOptions())
    walk = _SpaceWalk(problems)
    _mapping(tree, "space", problems, lambda m: walk.visit(m, ""), None)
    refuse_repeated(walk.given, problems)
    if not walk.parameters and not problems:
        problems.append(
            f"{path}: nothing is sampled; give a key under space: a distribution, as in {{uniform: [0, 1]}}"
        )
    if problems:
        raise ConfigError(problems)
    return Space(
        path=Path(path),
        base=Path(path).parent / base if base else None,
        options=options,
        parameters={parameter.key: parameter for parameter in walk.parameters},
        constants=tuple(walk.constants),
    )


def _mapping(tree: YamlMap, word: str, problems: list[str], read: Callable[[YamlMap], Any], default: Any) -> Any:
    value = tree.get(word)
    if isinstance(value, YamlMap):
        return read(value)
    if word in tree:
        problems.append(f"{tree.where(word)}: {word}: found {value!r}, expected `word: value` lines")
    return default


class _SpaceWalk:
    """Walks the `space:` tree: UPPERCASE is a config key, lowercase is grammar."""

    def __init__(self, problems: list[str]):
        self.parameters: list[Parameter] = []
        self.constants: list[Setting] = []
        self.given: list[Setting] = []
        self._problems = problems

    def visit(self, tree: YamlMap, prefix: str) -> None:
        for name, value in tree.items():
            key = f"{prefix}.{name}" if prefix else name
            where = tree.where(name)
            is_mapping = isinstance(value, YamlMap)
            is_grammar = is_mapping and not any(word[:1].isupper() for word in value)
            if is_grammar and f"{key}.NAME" in KEYS:  # MODEL.BACKBONE: {choice: [...]} is about its NAME
                key = f"{key}.NAME"
            if is_mapping and not is_grammar and key in NODES:
                self.visit(value, key)
                continue
            leaf = resolve_name(key, value, where, self._problems)
            if leaf is None:
                continue
            self.given.append(Setting(leaf, value, where))
            if is_mapping:
                self._add_parameter(leaf, value, where)
            else:
                self._add_constant(Setting(leaf, value, where))

    def _add_parameter(self, key: str, mapping: YamlMap, where: str) -> None:
        if not KEYS[key].searchable:
            self._problems.append(
                f"{where}: {key} cannot be searched ({KEYS[key].meaning}); give it one value in the base"
            )
            return
        try:
            distribution = read_distribution(mapping)
        except ConfigError as error:
            self._problems.append(f"{where}: {key}: {error}")
            return
        rule = KEYS[key].rule
        if isinstance(rule.rule if isinstance(rule, Maybe) else rule, Int) and not distribution.is_whole:
            self._problems.append(f"{where}: {key} takes whole numbers; use randint, lograndint or qrandint")
            return
        illegal: list[str] = []
        source = f"{where}: {distribution.word}"
        values = [read_setting(Setting(key, value, source), illegal) for value in distribution.probes()]
        self._problems += illegal
        if illegal:
            return
        if isinstance(distribution, Choice):  # 1e-4, which YAML reads as text, becomes a number
            distribution = Choice(tuple(list(v) if isinstance(v, tuple) else v for v in values))
            repeated = distribution.repeated()
            if repeated:
                self._problems.append(f"{where}: {key}: choice: {repeated} stands there more than once")
        self.parameters.append(Parameter(key, distribution, where))

    def _add_constant(self, setting: Setting) -> None:
        if setting.key in ("OUTPUT_PATH", "RESUME_PATH"):
            self._problems.append(f"{setting.source}: {setting.key} has no place in a search; -o names its folder")
        else:
            self.constants.append(setting)
