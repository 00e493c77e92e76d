"""Relative paths that a file names: they start where one works, or else where the file lies.

A dumped config names what lies below the working folder with relative paths. It is found again after the project has
moved, and from another working folder, since the dump lies in the project too.
"""

import os
from pathlib import Path
from typing import Any

from configs.defaults import KEYS

# What searches and trainings leave, beside checkpoints: in their own folder, or in one of these below it.
_DUMPS, _BELOW = ("base.yaml", "best.yaml", "config.yaml"), ("results", "model_backups", "pareto")
EXPERIMENTS, TRIALS = "experiments", "trials"

_DATA = ("DATASET.PATH_DATA_RAW", "DATASET.PATH_VALIDATION", "DATASET.TABLE.PATH")


def folders_beside(file: str | Path) -> list[Path]:
    """Returns the folder of a file; of one that a search or training has left, also those up to where that was started.

    Searches and trainings are started beside the folder that they write, or above the experiments/ that holds it.
    """
    path = Path(os.path.abspath(file))
    folders = [path.parent]
    if path.name in _DUMPS or path.suffix == ".pt" or path.parent.name in _BELOW:
        own = path.parent.parent if path.parent.name in _BELOW else path.parent
        own = own.parent.parent if own.parent.name == TRIALS else own  # of a trial: that of its search
        folders += [own, own.parent]
        if own.parent.name == EXPERIMENTS:
            folders.append(own.parent.parent)
    return list(dict.fromkeys(folders))


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
