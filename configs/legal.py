"""Rules for the values of config keys: what is legal, and which values are read as which.

A rule's `read` returns the value in its one true form (int, float, tuple ...) where nothing is lost on the way,
and raises ValueError otherwise. Text is accepted everywhere, since .env and the command line have nothing else and
since PyYAML reads `1e-4` and `(160, 160)` as text.
"""

import ast
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from configs.errors import did_you_mean
from configs.files import shown_path

LARGEST = 2**31 - 1  # whole number, where a rule has no end of its own: libraries count in 32 bits


class HintError(ValueError):
    """A value is not allowed; the message is a sentence that helps."""


class Rule:
    """What a key may hold. `allowed` says it in words, for messages.

    Attributes:
        allowed: what is legal.
        asks_for_files: whether a value may be legal on one machine and not on another.
    """

    allowed: str
    asks_for_files = False

    def read(self, value: Any) -> Any:
        """Returns the value as the config holds it, or raises ValueError if it is not allowed."""
        raise NotImplementedError

    def to_yaml(self, value: Any) -> Any:
        """Returns a value of the config as YAML is to hold it."""
        return value


def _plain(value: Any) -> Any:
    """Numpy scalars become Python's own, without importing numpy."""
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "shape", None) == () else value


def _number(value: Any) -> int | float:
    """Returns a number, also of text; whole numbers of any size keep all their digits."""
    value = _plain(value)
    if isinstance(value, str):
        value = int(value) if value.strip().lstrip("+-").isdigit() else float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("not a number")
    return value


@dataclass(frozen=True)
class _Number(Rule):
    low: float | None = None
    high: float | None = None
    above_low: bool = False  # the lower end itself is not allowed
    below_high: bool = False  # nor the upper end

    @property
    def allowed(self) -> str:  # type: ignore[override]
        ends = []
        if self.low is not None:
            ends.append(f"above {self.low}" if self.above_low else f"at least {self.low}")
        if self.high is not None:
            ends.append(f"below {self.high}" if self.below_high else f"at most {self.high}")
        return " ".join([self.noun, " and ".join(ends)]).strip()

    @property
    def noun(self) -> str:
        raise NotImplementedError

    def _check_ends(self, number: float) -> None:
        if self.low is not None and (number < self.low or (self.above_low and number == self.low)):
            raise ValueError("out of range")
        if self.high is not None and (number > self.high or (self.below_high and number == self.high)):
            raise ValueError("out of range")


@dataclass(frozen=True)
class Int(_Number):
    """A whole number; 3.0 and "3" are read as 3."""

    noun = "a whole number"

    def read(self, value: Any) -> int:
        number = _number(value)
        if isinstance(number, float) and (not number.is_integer() or abs(number) > 2**53):  # above, digits are lost
            raise ValueError("not a whole number")
        self._check_ends(number)
        if abs(number) > LARGEST:
            raise HintError(f"Whole numbers go up to {LARGEST}.")
        return int(number)


@dataclass(frozen=True)
class Float(_Number):
    """A finite number; whole numbers and "1e-4" are read as floats."""

    noun = "a number"

    def read(self, value: Any) -> float:
        given = _number(value)
        try:
            number = float(given)
        except OverflowError:
            raise ValueError("larger than any float") from None
        if not math.isfinite(number) or number != given:
            raise ValueError("not a finite number that keeps all its digits")
        self._check_ends(number)
        return number


@dataclass(frozen=True)
class Bool(Rule):
    """true or false."""

    allowed = "true or false"

    def read(self, value: Any) -> bool:
        value = _plain(value)
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return value.strip().lower() == "true"
        if not isinstance(value, bool):
            raise ValueError("not a truth value")
        return value


@dataclass(frozen=True)
class Text(Rule):
    """Any text, on one line unless `may_have_lines`."""

    may_have_lines: bool = False
    allowed = "text (quote it where YAML reads it as something else, as in 'no' or '12')"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or ("\n" in value and not self.may_have_lines):
            raise ValueError("not text")
        return value


@dataclass(frozen=True)
class Name(Rule):
    """The name of a class: text, or a whole number, which is read as its digits."""

    allowed = "a name or a whole number"

    def read(self, value: Any) -> str:
        value = _plain(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise ValueError("not a name")
        return value.strip()


@dataclass(frozen=True)
class Path(Rule):
    """A path, made absolute from the working folder.

    YAML gets it relative where it lies below the working folder, and absolute elsewhere: a best.yaml can be committed,
    and used on another machine from the folder where the search was started here.
    """

    allowed = "a path"

    def read(self, value: Any) -> str:
        if not isinstance(value, (str, os.PathLike)) or "\n" in str(value):
            raise ValueError("not a path")
        text = os.fspath(value)
        return os.path.abspath(os.path.expanduser(text)) if text else ""

    def to_yaml(self, value: str) -> str:
        return shown_path(value) if value else ""


@dataclass(frozen=True)
class File(Path):
    """The path of a file that exists; empty for none."""

    allowed = "the path of an existing file, or empty"
    asks_for_files = True

    def read(self, value: Any) -> str:
        path = super().read(value)
        if path and not os.path.isfile(path):
            start = "" if os.path.isabs(os.path.expanduser(os.fspath(value))) else "; it starts at the working folder"
            raise HintError(f"There is no file {path}{start}.")
        return path


@dataclass(frozen=True)
class Module(Path):
    """A Python module: the path of a .py file or an importable name."""

    allowed = "the path of an existing .py file or an importable module name"
    asks_for_files = True

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise ValueError("not a module")
        return File().read(value) if value.endswith(".py") else value

    def to_yaml(self, value: str) -> str:
        return super().to_yaml(value) if value.endswith(".py") else value


@dataclass(frozen=True)
class Color(Rule):
    """A colour, kept as red, green and blue from 0 to 255."""

    allowed = "white, black, a grey level from 0 to 255, or [red, green, blue]"

    def read(self, value: Any) -> tuple[int, int, int]:
        value = {"white": 255, "black": 0}.get(value, value) if isinstance(value, str) else value
        try:
            return (Int(0, 255).read(value),) * 3
        except ValueError:
            red, green, blue = TupleOf(Int(0, 255), lengths=(3,)).read(value)
            return red, green, blue

    def to_yaml(self, value: tuple[int, int, int]) -> list[int]:
        return list(value)


@dataclass(frozen=True)
class Format(Rule):
    """The format of a dumped config, up to the one that this version writes."""

    newest: int

    @property
    def allowed(self) -> str:  # type: ignore[override]
        return Int(1, self.newest).allowed

    def read(self, value: Any) -> int:
        try:
            return Int(1, self.newest).read(value)
        except ValueError:
            raise HintError("A newer yacstune wrote this config; use that version.") from None


@dataclass(frozen=True)
class OneOf(Rule):
    """One of some names."""

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:  # type: ignore[override]
        return "one of " + ", ".join(self.names)

    def read(self, value: Any) -> str:
        if value not in self.names:
            raise HintError(did_you_mean(str(value), self.names).strip())
        return str(value)


@dataclass(frozen=True)
class Part(Rule):
    """The name of a registered part.

    `names` are those that come with the project, repeated here so that a slip is answered before torch is imported
    (a test holds them against the registries). Users register more, and backbones have all of timm's names: such a
    name is looked up when the part is built.

    Attributes:
        kind: what the part is, for messages.
        names: the names that come with the project.
        is_open: whether there are legal names that `names` does not list.
    """

    kind: str
    names: tuple[str, ...]
    is_open: bool = False

    @property
    def allowed(self) -> str:  # type: ignore[override]
        more = ", or any name that timm knows" if self.is_open else ""
        return f"the name of a {self.kind}: {', '.join(self.names)}{more}"

    def read(self, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError("not a name")
        return value


@dataclass(frozen=True)
class TupleOf(Rule):
    """A sequence whose items follow one rule; kept as a tuple, which nobody can append to."""

    item: Rule
    lengths: tuple[int, ...] = ()  # the lengths allowed; () allows any
    ascending: bool = False

    @property
    def allowed(self) -> str:  # type: ignore[override]
        length = " or ".join(str(n) for n in self.lengths) + " items" if self.lengths else "any number of items"
        order = ", in ascending order" if self.ascending else ""
        return f"a list with {length}{order}, each {self.item.allowed}"

    @property
    def asks_for_files(self) -> bool:  # type: ignore[override]
        return self.item.asks_for_files

    def read(self, value: Any) -> tuple[Any, ...]:
        if isinstance(value, str):
            if value and not value.startswith(("(", "[")):
                length = self.lengths[0] if self.lengths and "," not in value else 1
                raise HintError(f"Write a list, as in [{', '.join([value] * length)}].")
            value = _read_sequence(value)
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise ValueError("not a list")
        items = tuple(self.item.read(item) for item in value)
        if self.lengths and len(items) not in self.lengths:
            raise ValueError("wrong length")
        if self.ascending and list(items) != sorted(items):
            raise ValueError("wrong order")
        return items

    def to_yaml(self, value: tuple[Any, ...]) -> list[Any]:
        return [self.item.to_yaml(item) for item in value]


@dataclass(frozen=True)
class Maybe(Rule):
    """A value or null, where null has a meaning of its own."""

    rule: Rule
    meaning: str  # of null

    @property
    def allowed(self) -> str:  # type: ignore[override]
        return f"{self.rule.allowed}, or null ({self.meaning})"

    def read(self, value: Any) -> Any:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("null", "none", "~")):
            return None
        return self.rule.read(value)

    def to_yaml(self, value: Any) -> Any:
        return None if value is None else self.rule.to_yaml(value)


@dataclass(frozen=True)
class OrWord(Rule):
    """A value, or one of some words with a meaning of their own."""

    words: tuple[str, ...]
    rule: Rule
    meaning: str = ""  # of the words

    @property
    def allowed(self) -> str:  # type: ignore[override]
        meaning = f" ({self.meaning})" if self.meaning else ""
        return f"{' or '.join(self.words)}{meaning}, or {self.rule.allowed}"

    def read(self, value: Any) -> Any:
        return value if isinstance(value, str) and value in self.words else self.rule.read(value)

    def to_yaml(self, value: Any) -> Any:
        return value if isinstance(value, str) else self.rule.to_yaml(value)


def _read_sequence(text: str) -> Any:
    """Reads `(160, 160)`, `[128]` or `[a, b]`; bare words are text."""
    stripped = text.strip()
    if (stripped[:1] + stripped[-1:]) not in ("()", "[]"):
        raise ValueError("not a list")
    try:
        return ast.literal_eval(stripped)
    except (ValueError, SyntaxError, TypeError, RecursionError):
        return [item.strip().strip("'\"") for item in stripped[1:-1].split(",") if item.strip()]
