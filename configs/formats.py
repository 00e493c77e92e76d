"""Formats of dumped configs, and what configs of older formats mean now.

A dump names every key, so that it means the same for ever, except for keys that came after it: those get the value
that has the meaning of before.
"""

from collections.abc import Mapping
from typing import Any

FORMAT = 2
KEY = "CONFIG_FORMAT"

# Older names of keys, which are still understood.
RENAMED = {"DATASET.TABLE.ON_UNREADABLE": "DATASET.ON_UNREADABLE"}

# By format, the keys that it brought, each with the value that does what versions before it did.
_BEFORE: dict[int, dict[str, Any]] = {
    2: {
        "DATASET.AUGMENTATION.FILL": 0,
        "DATASET.BACKGROUND": None,
        "DATASET.FOLDER_FILES": "as_in_0.1",
        "DATASET.KEEP_DUPLICATES_TOGETHER": False,
        "DATASET.TABLE.PATHS_OUTSIDE": True,
        "MODEL.WARM_START_HEAD": "if_it_fits",
    },
}

# Keys whose default is another since a format.
_NEW_DEFAULTS = {2: ("DATASET.NORMALIZE_MEAN", "DATASET.NORMALIZE_STD")}


def format_of(given: Mapping[str, Any], keys: int) -> int:
    """Returns the format of a YAML.

    Format 1 said nothing of itself, but a dump names all keys, and what people write by hand never half of them.

    Args:
        given: the values of the YAML, by key.
        keys: how many keys there are.
    """
    if KEY in given:
        return int(given[KEY])
    return 1 if len(given) > keys / 2 else FORMAT


def before(format_: int) -> dict[str, Any]:
    """Returns the values of keys that came after a format, which do what was done before they came."""
    return {key: value for newer, brought in _BEFORE.items() if newer > format_ for key, value in brought.items()}


def changed_defaults() -> set[str]:
    """Returns the keys whose default does something else than it did in an older format."""
    return {key for keys in (*_BEFORE.values(), *_NEW_DEFAULTS.values()) for key in keys}
