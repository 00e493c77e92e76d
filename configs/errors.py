"""The one exception for mistakes of the user, and how a mistake is answered."""

import difflib
import io
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any


class ExitStatus(IntEnum):
    """With what a command ends."""

    DONE = 0
    MISTAKE = 2  # something that the user has to mend: a config, a full disk
    NOTHING_FOUND = 3  # no trial of a search has a result
    INTERRUPTED = 130


MOST_PROBLEMS, LONGEST_PROBLEM = 100, 2000  # that a command prints, and characters of one


class ConfigError(ValueError):
    """What the user gave cannot be used. The message is complete: commands print it without a traceback.

    Attributes:
        problems: one sentence for each mistake, so that all of them are reported at once.
    """

    def __init__(self, problems: str | Iterable[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type, tuple[list[str]]]:
        return type(self), (self.problems,)


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


def together(*steps: Callable[[], Any]) -> list[Any]:
    """Runs several steps and returns their results.

    Raises:
        ConfigError: with the problems of all steps that raise one.
    """
    results, problems = [], []
    for step in steps:
        try:
            results.append(step())
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return results


@contextmanager
def told_with_places(sources: Mapping[str, str]) -> Iterator[None]:
    """Puts the place where a config key was given before each problem that begins with the key.

    Args:
        sources: where keys were given, in words that lead a message.
    """
    try:
        yield
    except ConfigError as error:
        keys = [re.split(r"[\s:]", problem, maxsplit=1)[0] for problem in error.problems]
        places = [f"{sources[key]}: " if key in sources else "" for key in keys]
        raise type(error)(place + problem for place, problem in zip(places, error.problems, strict=True)) from None


def exit_status(command: Callable[[], int]) -> int:
    """Runs a command and returns its exit status: a user's mistake is printed without a traceback and gives 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: names of files may be no UTF-8
    try:
        return command()
    except ConfigError as error:
        for problem in error.problems[:MOST_PROBLEMS]:
            print(f"error: {_bounded(problem)}", file=sys.stderr)
        if len(error.problems) > MOST_PROBLEMS:
            print(f"error: and {len(error.problems) - MOST_PROBLEMS:,} more", file=sys.stderr)
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
