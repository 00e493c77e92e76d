"""What the command lines of all modules have in common."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from configs.defaults import KEYS
from configs.errors import ConfigError, Problems, did_you_mean
from configs.settings import without_secrets


def command_parser(module: str, doc: str, description: str) -> argparse.ArgumentParser:
    """Returns the parser of `python -m module`, whose help ends with the examples of the module's docstring.

    Args:
        module: as in trainable.train.
        doc: the module's docstring: a line that says what it does, then the examples.
        description: what the help begins with.
    """
    return _Parser(
        prog=f"python -m {module}",
        description=description,
        epilog=doc.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


class _Parser(argparse.ArgumentParser):
    """A parser that answers an unknown option with the nearest that is known."""

    def error(self, message: str) -> NoReturn:
        """Ends the command with what is wrong, and status 2."""
        known = re.findall(r"--[a-z-]+", self.format_usage())
        hints = [
            f" A config key is written without dashes: {option[2:]}"
            if option[2:] in KEYS
            else did_you_mean(option, known)
            for option in re.findall(r"--[\w.-]+", message)
            if option not in known
        ]
        message = without_secrets(message)
        super().error(f"{message}.{''.join(hints)}" if any(hints) else message)


def add_config_arguments(
    parser: argparse.ArgumentParser, cfg_help: str = "the experiment; without it, the defaults"
) -> None:
    """Adds --cfg and the trailing KEY VALUE pairs, which `load_cfg` takes."""
    parser.add_argument("--cfg", metavar="YAML", help=cfg_help)
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="config keys and their values")


def refuse_url(output: str) -> None:
    """Raises ConfigError if -o names a place that is not in the file system."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", output):
        raise ConfigError(
            f"-o: {output}: results go to folders of this machine's file system, not to URLs; give a folder, as one "
            "where the storage is mounted"
        )


def output_file_problems(path: Path, suffixes: Sequence[str]) -> Problems:
    """Returns what is wrong with a file that -o names: another suffix, there already, or without a folder."""
    problems = Problems()
    try:
        refuse_url(str(path))
    except ConfigError as error:
        return error.problems
    if path.suffix not in suffixes:
        problems.add(f"-o: found {path}, allowed is a name that ends in {' or '.join(suffixes)}")
    if path.exists():
        problems.add(f"-o: {path} is there already; choose another name or remove it")
    if not path.absolute().parent.is_dir():
        problems.add(f"-o: there is no folder {path.absolute().parent}")
    return problems
