"""The curve that a config's file records, so that a training of it can be compared with the one before."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.metric_names import METRICS, TIMES
from trainable.run_folder import RunFolder

_CURVE = "# curve: "


def curve_comment(rows: Sequence[dict[str, Any]]) -> str:
    """Returns a comment line for a YAML, with the metrics of each epoch but for times; floats keep all digits."""
    return _CURVE + json.dumps([_without_times(row) for row in rows])


def recorded_curve(path: str | Path) -> list[dict[str, Any]]:
    """Returns the metrics of each epoch that a config's file records: in a comment, or in metrics.csv beside it.

    Raises:
        ConfigError: it records none, or none that can be read.
    """
    path = Path(path)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(_CURVE):
            return _checked(line.removeprefix(_CURVE), path)
    folder = RunFolder(path.parent.parent)
    if path.name == folder.config.name and path.parent == folder.config.parent:
        rows = [_without_times(row) for row in folder.read_metrics()]
        if rows:
            return rows
    raise ConfigError(
        f"--verify: {path} records no curve to compare with; a best.yaml of a search does, and so does the "
        "results/config.yaml of a run with its metrics.csv beside it"
    )


def _checked(text: str, path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
        epochs = [row["epoch"] for row in rows]
        is_whole = epochs == list(range(1, len(rows) + 1)) and bool(rows)
        is_known = all(row.keys() <= METRICS.keys() for row in rows)
        are_numbers = all(isinstance(value, int | float) for row in rows for value in row.values())
        if is_whole and is_known and are_numbers:
            return list(rows)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise ConfigError(f"--verify: the curve in the comment of {path} cannot be read; take the file as it was written")


def _without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TIMES}
