"""The one exception for mistakes of the user, and how a mistake is answered."""

import difflib
import io
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitStatus(IntEnum):
    """With what a command ends."""

    DONE = 0
    MISTAKE = 2  # something that the user has to mend: a config, a full disk
    NO_RESULT = 3  # a training that diverged, a search without a trial that has a result
    INTERRUPTED = 130


MOST_PROBLEMS, LONGEST_PROBLEM = 100, 2000  # that a command prints, and characters of one


@dataclass(frozen=True)
class Problem:
    """A mistake of the user.

    Attributes:
        message: what was found, what is allowed, what to do next.
        key: the config key that it is about, which leads the message; empty: none, or the message names it.
        source: where it is written: a file with its line, the command line, the environment; empty: unknown.
        hint: what else may help.
    """

    message: str
    key: str = ""
    source: str = ""
    hint: str = ""

    def __str__(self) -> str:
        """Returns it as people read it."""
        return ": ".join(filter(None, (self.source, self.key, self.message))) + self.hint


class Problems(list[Problem]):
    """Collects mistakes, so that all of them are told at once."""

    def add(self, message: str, key: str = "", source: str = "", hint: str = "") -> None:
        """Adds a problem; see there."""
        self.append(Problem(message, key, source, hint))

    def __iadd__(self, others: Iterable["str | Problem"]) -> "Problems":  # type: ignore[override,misc]
        """Adds several; a text is a message without key and source."""
        self.extend(one if isinstance(one, Problem) else Problem(one) for one in others)
        return self

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Adds the problems of a ConfigError that the block raises, and goes on after it."""
        try:
            yield
        except ConfigError as error:
            self.extend(error.problems)

    def check(self) -> None:
        """Raises ConfigError if there are any."""
        if self:
            raise ConfigError(self)


class CommandError(Exception):
    """A command cannot go on. The message is complete: commands print it without a traceback."""


class SurroundingsError(CommandError, RuntimeError):
    """What the command runs on does not work, such as a Ray that does not start; nobody has made a mistake."""


class ConfigError(CommandError, ValueError):
    """What the user gave cannot be used.

    Attributes:
        problems: each mistake, so that all of them are reported at once.
    """

    def __init__(self, problems: str | Problem | Iterable[str | Problem], key: str = ""):
        given = [problems] if isinstance(problems, str | Problem) else list(problems)
        self.problems = Problems(one if isinstance(one, Problem) else Problem(one, key) for one in given)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type, tuple[list[Problem]]]:
        return type(self), ([*self.problems],)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ` Did you mean 'x'?` for the known name nearest to `name`, or an empty string."""
    known = list(known)
    by_folded = {candidate.lower(): candidate for candidate in known}
    near = difflib.get_close_matches(name.lower(), by_folded, n=1, cutoff=0.6)
    if not near:  # the last part may be right and the path to it wrong
        same_leaf = [candidate for candidate in known if candidate.split(".")[-1] == name.split(".")[-1]]
        return f" Did you mean {same_leaf[0]!r}?" if same_leaf else ""
    return f" Did you mean {by_folded[near[0]]!r}?"


def few(names: Sequence[str], shown: int = 5) -> str:
    """Returns the first of many names, for a message."""
    return ", ".join(names[:shown]) + (" ..." if len(names) > shown else "")


def one_line(text: str) -> str:
    """Returns a reason as it fits on a line and into a table; the whole of it is in a log."""
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:297]}..."


def counted(number: int, noun: str) -> str:
    """Returns a number of things in words, as in `1 image` and `1,684 images`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def collect_errors(*steps: Callable[[], Any]) -> list[Any]:
    """Runs several steps and returns their results.

    Raises:
        ConfigError: with the problems of all steps that raise one.
    """
    results, problems = [], Problems()
    for step in steps:
        with problems.collecting():
            results.append(step())
    problems.check()
    return results


@contextmanager
def with_sources(sources: Mapping[str, str]) -> Iterator[None]:
    """Adds to each problem about a config key where the key was given.

    Args:
        sources: by key, in words that lead a message.
    """
    try:
        yield
    except ConfigError as error:
        known = [replace(one, source=one.source or sources.get(one.key, "")) for one in error.problems]
        raise type(error)(known) from None


def exit_status(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit status: a user's mistake is printed without a traceback and gives 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files may be no UTF-8
    try:
        return command()
    except ConfigError as error:
        for problem in error.problems[:MOST_PROBLEMS]:
            print(f"error: {_bounded(str(problem))}", file=sys.stderr)
        if len(error.problems) > MOST_PROBLEMS:
            print(f"error: and {len(error.problems) - MOST_PROBLEMS:,} more", file=sys.stderr)
        return ExitStatus.MISTAKE
    except CommandError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitStatus.MISTAKE
    except OSError as error:  # no permission, disk full, a file where a folder should be
        print(f"error: {explained(error)}", file=sys.stderr)
        return ExitStatus.MISTAKE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED


def _bounded(problem: str) -> str:
    """Returns a problem without its middle, where it is too long to be read."""
    half = LONGEST_PROBLEM // 2
    return problem if len(problem) <= LONGEST_PROBLEM else f"{problem[:half]} ... {problem[-half:]}"


def explained(error: OSError) -> str:
    """Returns in words what the system would not do, and where."""
    if error.filename is None or not error.strerror:
        return str(error)
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        path = Path(error.filename)
        in_the_way = next((place for place in (path, *path.parents) if place.is_file()), path)
        return f"{in_the_way}: is a file, where a folder is needed; give another name"
    return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
