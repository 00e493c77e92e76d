"""Reads a space file: which config keys are sampled, from what, under which conditions, and how to search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.defaults import KEYS, NODES
from configs.errors import ConfigError, Problems, did_you_mean
from configs.legal import Int, Maybe, TupleOf
from configs.loader import read_setting
from configs.settings import Setting, resolve_name, without_secrets
from configs.tree import plain
from configs.yaml_file import YamlMap, read_yaml
from search.space.conditions import can_hold, describe, unmet
from search.space.distributions import Choice, Distribution, read_distribution
from search.space.expressions import Expression
from search.space.items import Branches, Condition, Constant, Constraint, Derived, Item, Parameter, is_branching
from search.space.options import SearchOptions
from search.space.options_reader import Given, build_options, inherit_options, read_options

_NOT_IN_THE_BASE = ("OUTPUT_PATH", "RESUME_PATH")  # a search names its own folders
WORDS = ("extends", "base", "search", "space", "constraints")


@dataclass(frozen=True)
class NamedFile:
    """A file that a space file names.

    Attributes:
        path: of the file.
        source: where it is named, for messages.
    """

    path: Path
    source: str

    def read(self) -> YamlMap:
        """Reads it, see `read_yaml`."""
        return read_yaml(self.path, self.source)


@dataclass(frozen=True)
class SpaceFile:
    """A space file, read and checked.

    Attributes:
        path: of the file.
        base: the experiment YAML that samples are merged over, or None for the defaults.
        options: how to search.
        items: what is sampled, constant and derived, by the file's order.
        constraints: that every sample satisfies.
    """

    path: Path
    base: NamedFile | None
    options: SearchOptions
    items: tuple[Item, ...]
    constraints: tuple[Constraint, ...]

    @property
    def parameters(self) -> dict[str, Parameter]:
        """What is sampled, by name."""
        return {item.name: item for item in self.items if isinstance(item, Parameter)}

    @property
    def branches(self) -> dict[str, list[str]]:
        """The names of the branches of each node that has some."""
        nodes = [item for item in self.items if isinstance(item, Parameter) and is_branching(item)]
        return {node.key: node.distribution.values() for node in nodes}

    @property
    def constants(self) -> tuple[Setting, ...]:
        """The keys that have one value in all trials."""
        outermost = [item for item in self.items if isinstance(item, Constant) and not item.branch]
        return tuple(Setting(item.key, item.value, item.source) for item in outermost)


def read_space(path: str | Path) -> SpaceFile:
    """Reads a space file, and those that it extends.

    Raises:
        ConfigError: with every mistake that was found.
    """
    problems = Problems()
    parts = _read_parts(read_yaml(path), problems, ())
    items = list(parts.items)
    problems += _given_twice(items)
    if not problems:
        items, wrong = _checked_conditions(items)
        problems += wrong
    if not any(isinstance(item, Parameter) for item in items) and not problems:
        problems.add(f"{path}: nothing is sampled; give a key under space: a distribution, as in {{uniform: [0, 1]}}")
    problems += _unknown_keys(items, parts.constraints)
    options = build_options(parts.options, problems)
    problems.check()
    return SpaceFile(Path(path), parts.base, options, tuple(items), tuple(parts.constraints))


def base_of(path: str | Path) -> NamedFile | None:
    """Returns the base that a space file names, whatever mistakes it has; None if it names none or is no YAML."""
    try:
        return _read_parts(read_yaml(path), Problems(), ()).base
    except ConfigError:
        return None


@dataclass
class _Parts:
    """What one file says, and those that it extends."""

    base: NamedFile | None
    options: dict[str, Given]
    items: list[Item]
    constraints: list[Constraint]


def _read_parts(tree: YamlMap, problems: Problems, children: tuple[Path, ...]) -> _Parts:
    for word in tree:
        if word not in WORDS:
            hint = " Config keys belong under `space:`." if word.split(".")[0].isupper() else did_you_mean(word, WORDS)
            problems.add(f"{tree.where(word)}: unknown word {word!r}.{hint} Known words: {', '.join(WORDS)}")
    inherited = _Parts(None, {}, [], [])
    parent = _file_of(tree, "extends", "a space file", problems)
    if parent is not None:
        family = (*children, Path(tree.file).resolve())
        if parent.path.resolve() in family:
            problems.add(f"{parent.source}: {parent.path} extends this file itself, in a circle")
        else:
            inherited = _read_parts(parent.read(), problems, family)
    base = _file_of(tree, "base", "an experiment YAML", problems)
    options = _mapping(tree, "search", problems, lambda m: read_options(m, problems), {})
    reader = _ItemReader(problems)
    _mapping(tree, "space", problems, lambda m: reader.read(m, "", ()), None)
    return _Parts(
        base or inherited.base,
        inherit_options(inherited.options, options),
        [*(item for item in inherited.items if not _is_replaced(item, reader.items)), *reader.items],
        [*inherited.constraints, *_read_constraints(tree, problems)],
    )


def _file_of(tree: YamlMap, word: str, what: str, problems: Problems) -> NamedFile | None:
    if word not in tree:
        return None
    value, source = tree[word], f"{tree.where(word)}: {word}"
    if not isinstance(value, str) or not value:
        problems.add(f"{source}: found {value!r}, expected the path of {what}")
        return None
    return NamedFile(Path(tree.file).parent / value, source)


def _mapping(tree: YamlMap, word: str, problems: Problems, read: Callable[[YamlMap], Any], default: Any) -> Any:
    value = tree.get(word)
    if isinstance(value, YamlMap):
        return read(value)
    if word in tree:
        problems.add(f"{tree.where(word)}: {word}: found {value!r}, expected `word: value` lines")
    return default


def _read_constraints(tree: YamlMap, problems: Problems) -> list[Constraint]:
    texts = tree.get("constraints", [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        problems.add(f"{tree.where('constraints')}: constraints: found {texts!r}, expected a list of expressions")
        return []
    constraints = []
    for text in texts:
        source = f"{tree.where('constraints')}: constraints"
        try:
            constraints.append(Constraint(Expression(text), source))
        except ConfigError as error:
            problems.add(f"{source}: {without_secrets(str(error))}")
    return constraints


def _outermost(item: Item) -> str:
    return item.branch[0][0] if item.branch else item.key


def _is_replaced(item: Item, by: Sequence[Item]) -> bool:
    """Whether a file that extends another says something else about a key, or about a node of branches above it."""
    key = _outermost(item)
    is_in_branch = bool(item.branch) or (isinstance(item, Parameter) and is_branching(item))
    for other in by:
        above = _outermost(other)
        if key == above or item.key == other.key:
            return True
        if is_in_branch and (key.startswith(f"{above}.") or above.startswith(f"{key}.")):
            return True
    return False


class _ItemReader:
    """Reads the `space:` tree: UPPERCASE is a config key, lowercase is grammar."""

    def __init__(self, problems: Problems):
        self.items: list[Item] = []
        self._problems = problems

    def read(self, tree: YamlMap, prefix: str, branch: tuple[tuple[str, str], ...]) -> None:
        """Reads the lines below a node."""
        for name, value in tree.items():
            key = f"{prefix}.{name}" if prefix else name
            where = tree.where(name)
            is_mapping = isinstance(value, YamlMap)
            is_grammar = is_mapping and not any(word[:1].isupper() for word in value)
            if is_grammar and key in NODES and isinstance(value.get("choice"), YamlMap):
                self._read_branches(key, value, where, branch)
                continue
            if is_grammar and f"{key}.NAME" in KEYS:  # MODEL.BACKBONE: {choice: [...]} is about its NAME
                key = f"{key}.NAME"
            if is_mapping and not is_grammar and key in NODES:
                self.read(value, key, branch)
                continue
            leaf = resolve_name(key, value, where, self._problems)
            if leaf is None:
                continue
            if is_mapping:
                self._read_mapping(leaf, value, where, branch)
            else:
                self._add_constant(leaf, value, where, branch)

    def _read_branches(self, node: str, mapping: YamlMap, where: str, branch: tuple[tuple[str, str], ...]) -> None:
        names = mapping["choice"]
        for word in mapping:
            if word not in ("choice", "when"):
                self._problems.add(f"{mapping.where(word)}: {node}: unknown word {word!r} beside choice")
        if not names:  # one is what is left of several when the command line fixes the others
            self._problems.add(
                source=where, message=f"{node}: choice: found no branches, expected {{name: {{KEY: ...}}, ...}}"
            )
        when = self._read_when(mapping, node)
        self.items.append(Parameter(node, where, branch, when, distribution=Branches(tuple(names))))
        for name, lines in names.items():
            if isinstance(lines, YamlMap):
                self.read(lines, node, (*branch, (node, name)))
            elif lines is not None:  # a branch may be empty
                self._problems.add(
                    f"{names.where(name)}: {node}: branch {name}: found {lines!r}, expected `KEY: value` lines"
                )

    def _read_mapping(self, key: str, mapping: YamlMap, where: str, branch: tuple[tuple[str, str], ...]) -> None:
        if not KEYS[key].searchable:
            way = "" if key in _NOT_IN_THE_BASE or KEYS[key].is_secret else "; give it one value in the base"
            self._problems.add(source=where, message=f"{key} cannot be searched ({KEYS[key].meaning}){way}")
            return
        when = self._read_when(mapping, key)
        words = {word: value for word, value in mapping.items() if word != "when"}
        try:
            if "derive" in words:
                if len(words) > 1 or not isinstance(words["derive"], str):
                    raise ConfigError("derive: expected one expression, in quotes, and nothing beside it but when")
                self.items.append(Derived(key, where, branch, when, expression=Expression(words["derive"])))
            else:
                distribution = self._checked(key, read_distribution(words), where)
                if distribution is not None:
                    self.items.append(Parameter(key, where, branch, when, distribution=distribution))
        except ConfigError as error:
            self._problems.add(source=where, message=f"{key}: {without_secrets(str(error))}")

    def _checked(self, key: str, distribution: Distribution, where: str) -> Distribution | None:
        """Returns a distribution whose values are legal for the key, and adds what is wrong if they are not."""
        rule = KEYS[key].rule
        if isinstance(rule.rule if isinstance(rule, Maybe) else rule, Int) and not distribution.is_whole:
            raise ConfigError("the key takes whole numbers; use randint, lograndint or qrandint")
        illegal = Problems()
        source = f"{where}: {distribution.word}"
        values = [read_setting(Setting(key, value, source), illegal) for value in distribution.probes()]
        self._problems += illegal
        if illegal:
            return None
        if isinstance(distribution, Choice):  # 1e-4, which YAML reads as text, becomes a number
            distribution = Choice(tuple(plain(value) for value in values))
            if distribution.repeated():
                raise ConfigError(f"choice: {distribution.repeated()} stands there more than once")
        return distribution

    def _read_when(self, mapping: YamlMap, key: str) -> tuple[Condition, ...]:
        """Reads `when: {KEY: value, OTHER: [any, of, these]}`; the values are checked when all keys are known."""
        when = mapping.get("when", {})
        if isinstance(when, YamlMap) and when:
            return tuple(Condition(name, (value,)) for name, value in when.items())
        if "when" in mapping:
            self._problems.add(f"{mapping.where('when')}: {key}: when: found {when!r}, expected {{KEY: value}}")
        return ()

    def _add_constant(self, key: str, value: Any, where: str, branch: tuple[tuple[str, str], ...]) -> None:
        if key in _NOT_IN_THE_BASE:
            self._problems.add(source=where, message=f"{key} has no place in a search; -o names its folder")
            return
        if (
            isinstance(value, list)
            and value
            and not _is_legal(key, value)
            and all(_is_legal(key, one) for one in value)
        ):
            self._problems.add(
                source=where, message=f"{key}: found {value}; to sample one of them write {{choice: {value}}}"
            )
            return
        if branch:  # the others are checked with the base config
            value = plain(read_setting(Setting(key, value, where), self._problems))
            if not KEYS[key].searchable:
                self._problems.add(source=where, message=f"{key} cannot differ from trial to trial; give it one value")
        self.items.append(Constant(key, where, branch, value=value))


def _is_legal(key: str, value: Any) -> bool:
    problems = Problems()
    read_setting(Setting(key, value, ""), problems)
    return not problems


def _given_twice(items: Sequence[Item]) -> Problems:
    """Returns what is wrong with keys that are given twice where both could be active."""
    problems = Problems()
    for number, item in enumerate(items):
        for other in items[:number]:
            shared = dict(other.branch)
            is_apart = any(shared.get(node, name) != name for node, name in item.branch)
            if item.key == other.key and not is_apart:
                problems.add(
                    source=item.source, message=f"{item.key} is given already in {other.source}; remove one of them"
                )
    return problems


def _checked_conditions(items: list[Item]) -> tuple[list[Item], Problems]:
    """Returns the items with the keys and values of their conditions resolved, and what is wrong with them."""
    nodes = {item.key for item in items if isinstance(item, Parameter) and is_branching(item)}
    problems = Problems()
    checked = [
        replace(item, when=tuple(_resolved(condition, item, nodes, problems) for condition in item.when))
        for item in items
    ]
    if not problems:
        problems += [
            "; ".join(
                [
                    f"{item.source}: {item.key}: when: can never hold: {describe(item.conditions)}",
                    *unmet(item.conditions, checked),
                ]
            )
            for item in checked
            if item.when and not can_hold(item.conditions, checked)
        ]
    return checked, problems


def _resolved(condition: Condition, item: Item, nodes: set[str], problems: Problems) -> Condition:
    where = f"{item.source}: {item.key}: when"
    if condition.key == item.key:
        problems.add(source=where, message=f"{item.key} cannot depend on itself")
        return condition
    (given,) = condition.values
    if condition.key in nodes:
        names = given if isinstance(given, list) else [given]
        return Condition(condition.key, tuple(str(name) for name in names))  # a branch may be called 1
    key = resolve_name(condition.key, "", where, problems)
    if key is None:
        return condition
    takes_lists = isinstance(KEYS[key].rule, TupleOf)
    is_any_of = isinstance(given, list) and (not takes_lists or all(isinstance(value, list) for value in given))
    values = [
        read_setting(Setting(key, value, where), problems) for value in (given if is_any_of and given else [given])
    ]
    return Condition(key, tuple(plain(value) for value in values))


def _unknown_keys(items: Sequence[Item], constraints: Sequence[Constraint]) -> list[str]:
    """Returns which keys of expressions do not exist."""
    known = {*(name for name, key in KEYS.items() if not key.is_secret), *(item.key for item in items)}
    looked_at = [(f"{item.source}: {item.key}: derive", item.expression) for item in items if isinstance(item, Derived)]
    looked_at += [(constraint.source, constraint.expression) for constraint in constraints]
    return [
        f"{where}: {key} is a secret, at which nothing can look"
        if key in KEYS
        else f"{where}: unknown key {key!r} in {without_secrets(expression.text)!r}.{did_you_mean(key, known)}"
        for where, expression in looked_at
        for key in expression.keys
        if key not in known
    ]
