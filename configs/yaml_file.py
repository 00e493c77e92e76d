"""Reads YAML and keeps the line of every key, where duplicate keys are errors (PyYAML silently keeps the last).

Writes YAML that reads back as it was.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from configs.errors import ConfigError, Problems, did_you_mean

SHOWN_FILES = 10  # of a folder, in a message

# Of a YAML file; what people write is far below, and above a file may take minutes and gigabytes.
LARGEST = 1_000_000  # characters
MOST_NODES = 100_000  # values, each alias counted as what it stands for
DEEPEST = 100  # levels of nesting


class YamlMap(dict[str, Any]):
    """A mapping of a YAML file that knows where it was written.

    Attributes:
        file: the file's path as the user gave it.
        line: the line on which the mapping starts, counted from 1.
        lines: the line of each key.
    """

    file: str
    line: int
    lines: dict[str, int]

    def where(self, key: str | None = None) -> str:
        """Returns `path, line N` of a key, or of the mapping itself."""
        return f"{self.file}, line {self.line if key is None else self.lines[key]}"


class _Loader(yaml.SafeLoader):
    """A safe loader whose mappings are YamlMaps."""

    file: str
    problems: Problems

    def construct_yaml_map(self, node: yaml.MappingNode) -> Any:
        mapping = YamlMap()
        yield mapping
        mapping.file, mapping.line, mapping.lines = self.file, node.start_mark.line + 1, {}
        own_keys: dict[str, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<, resolved below
                continue
            key = str(self.construct_object(key_node))
            line = key_node.start_mark.line + 1
            if key in own_keys:
                self.problems.add(
                    f"{self.file}, line {line}: key {key!r} stands already in line {own_keys[key]}; remove one of them"
                )
            own_keys[key] = line
        self.flatten_mapping(node)  # merge keys: <<
        for key_node, value_node in node.value:
            key = str(self.construct_object(key_node))
            mapping[key] = self.construct_object(value_node, deep=True)
            mapping.lines[key] = key_node.start_mark.line + 1


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_yaml_map)

# YAML 1.1 reads 010 as 8, 1:30 as 90 and 2020-01-01 as a date: left as text here, which the rules of keys refuse or
# read. Plain integers and floats stay.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[1] not in ("int", "float", "timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Dumper(yaml.SafeDumper):
    """A safe dumper that quotes text which _Loader, or another reader, would take for a number: 1e3, 1:30."""


for _side in (_Loader, _Dumper):
    _side.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9]*)$"), list("-+0123456789"))
    _side.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))$|\.(nan|NaN|NAN)$"),
        list("-+.0123456789"),
    )


def yaml_text(value: Any, flow: bool | None = None) -> str:
    """Returns plain data as YAML.

    Args:
        value: of dicts, lists, text, numbers and the like.
        flow: all within brackets (True), all in lines (False), or only the innermost within brackets (None).
    """
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=flow, sort_keys=False, width=float("inf"))


def read_yaml(path: str | Path, source: str = "") -> YamlMap:
    """Reads a YAML file whose top level is a mapping; an empty file is an empty mapping.

    Args:
        path: of the file.
        source: where the file is named, in words that lead the message if it cannot be read.

    Raises:
        ConfigError: the file is missing, is not YAML, repeats a key or holds something else than a mapping.
    """
    named = f"{source}: {path}" if source else str(path)
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{named}: no such file{_neighbours(Path(path))}") from None
    except IsADirectoryError:
        raise ConfigError(f"{named}: is a folder, where a YAML file is needed{_inside(Path(path))}") from None
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a name that no file can have
        raise ConfigError(f"{named}: cannot be read as text: {error}") from None

    return parse_yaml(text, str(path))


def parse_yaml(text: str, path: str) -> YamlMap:
    """Reads YAML text whose top level is a mapping.

    Args:
        text: the YAML.
        path: where it is from, for messages.

    Raises:
        ConfigError: as `read_yaml`.
    """
    if len(text) > LARGEST:
        raise ConfigError(f"{path}: has {len(text):,} characters; a YAML file of ours has {LARGEST:,} at most")
    loader = None
    try:
        loader = _Loader(text)
        loader.file, loader.problems = path, Problems()
        node = loader.get_single_node()
        if node is not None:
            _check_size(node, path)
        tree = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not valid YAML: {error.problem or error.context}") from None
    except ConfigError:
        raise
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:  # PyYAML's own
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    finally:
        if loader:
            loader.dispose()
    if loader.problems:
        raise ConfigError(loader.problems)
    if tree is None:
        tree = YamlMap()
        tree.file, tree.line, tree.lines = path, 1, {}
    if not isinstance(tree, YamlMap):
        raise ConfigError(f"{path}: found {type(tree).__name__}, expected `KEY: value` lines")
    return tree


def _check_size(root: yaml.Node, path: str) -> None:
    """Raises ConfigError if a document is too deep, or too large with its aliases written out."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > DEEPEST:
            raise ConfigError(f"{path}, line {node.start_mark.line + 1}: is nested deeper than {DEEPEST} levels")
        if id(node) not in sizes:
            sizes[id(node)] = MOST_NODES + 1  # until it is known: an alias within itself has no end
            inner = node.value if isinstance(node, yaml.SequenceNode) else []
            if isinstance(node, yaml.MappingNode):
                inner = [one for pair in node.value for one in pair]
            sizes[id(node)] = 1 + sum(size(one, depth + 1) for one in inner)
        if sizes[id(node)] > MOST_NODES:
            raise ConfigError(
                f"{path}, line {node.start_mark.line + 1}: holds more than {MOST_NODES:,} values, with its aliases "
                "written out; write it shorter"
            )
        return sizes[id(node)]

    size(root, 1)


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (nor is there a folder {path.parent})"
    similar = [name for name in _yaml_files(path.parent) if did_you_mean(path.stem, [Path(name).stem])]
    return f".{did_you_mean(path.name, similar)}" if similar else _inside(path.parent)


def _inside(folder: Path) -> str:
    names = _yaml_files(folder)
    more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    return f"; {folder} holds {', '.join(names[:SHOWN_FILES])}{more}" if names else f"; {folder} holds no YAML file"


def _yaml_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
