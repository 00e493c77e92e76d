"""Relative paths that a file names: they start where one works, or else where the file lies.

A dumped config names what lies below the working folder with relative paths. It is found again after the project has
moved, and from another working folder, since the dump lies in the project too.
"""

import os
from pathlib import Path
from typing import Any

from configs.defaults import KEYS

HEIGHT = 6  # folders that are tried: of experiments/head/trials/0001_x/results/config.yaml the last is the project's

_DATA = ("DATASET.PATH_DATA_RAW", "DATASET.PATH_VALIDATION", "DATASET.TABLE.PATH")


def folders_above(file: str | Path) -> list[Path]:
    """Returns the folder of a file and those above it, up to where a project may begin."""
    return list(Path(os.path.abspath(file)).parents)[:HEIGHT]


def found(key: str, value: Any, folders: list[Path]) -> Any:
    """Returns the value of a key, with paths that are not found from the working folder as one of the folders has them.

    Args:
        key: of the tree.
        value: as given, not yet checked.
        folders: in the order in which they are tried.
    """
    if key not in _DATA and not KEYS[key].rule.asks_for_files:
        return value
    if isinstance(value, (list, tuple)):
        return [found(key, item, folders) for item in value]
    is_name = key == "USER_MODULES" and not str(value).endswith(".py")
    if not isinstance(value, str) or not value or "\0" in value or is_name or Path(value).expanduser().exists():
        return value
    return next((os.path.abspath(folder / value) for folder in folders if (folder / value).exists()), value)
