"""Relative paths that a file names: they start where one works, or else where the file lies.

A dumped config names what lies below the working folder with relative paths. It is found again after the project has
moved, and from another working folder, since the dump lies in the project too.
"""

import os
from pathlib import Path
from typing import Any

from configs.defaults import KEYS

PROJECTS = "experiments"  # the folder of a project in which searches and trainings leave their files

_DATA = ("DATASET.PATH_DATA_RAW", "DATASET.PATH_VALIDATION", "DATASET.TABLE.PATH")


def folders_beside(file: str | Path) -> list[Path]:
    """Returns the folder of a file, and those above it up to its project: the one that holds experiments/."""
    above = list(Path(os.path.abspath(file)).parents)
    held = [place for place, folder in enumerate(above) if folder.name == PROJECTS]
    return above[: held[0] + 2] if held else above[:1]


def located(key: str, value: Any, folders: list[Path]) -> Any:
    """Returns the value of a key, with paths that are not found from the working folder as one of the folders has them.

    Args:
        key: of the tree.
        value: as given, not yet checked.
        folders: in the order in which they are tried.
    """
    if key not in _DATA and not KEYS[key].rule.asks_for_files:
        return value
    if isinstance(value, (list, tuple)):
        return [located(key, item, folders) for item in value]
    is_name = key == "USER_MODULES" and not str(value).endswith(".py")
    if not isinstance(value, str) or not value or value.startswith("~") or is_name or _exists(Path(value)):
        return value
    return next((os.path.abspath(folder / value) for folder in folders if _exists(folder / value)), value)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, no text of the file system, in a folder that cannot be read
        return False
