"""Writes the tables of learning curves that search_quality.py reads; curves/README.md has their format."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(
    path: Path,
    space: Mapping[str, Mapping[str, Any]],
    params: Sequence[Mapping[str, Any]],
    curves: Sequence[Sequence[float]],
    costs: Sequence[float],
    kinds: Sequence[str] = (),
) -> None:
    """Writes a task, named after its file.

    Args:
        path: of the file, which is written anew.
        space: kind, low, high and log of each hyperparameter; of a choice, kind and values.
        params: values of the hyperparameters, for each configuration.
        curves: the metric after each epoch, higher is better, for each configuration.
        costs: of an epoch, for each configuration.
        kinds: the hyperparameters whose values make kinds, as `search: kinds` names them.
    """
    table = pa.table(
        {
            **{name: [values[name] for values in params] for name in space},
            "curve": pa.array(curves, pa.list_(pa.float32())),
            "epoch_cost": costs,
        }
    )
    described = {"task": path.stem, "metric": "higher is better", "space": space}
    task = json.dumps(described | ({"kinds": list(kinds)} if kinds else {}))
    pq.write_table(table.replace_schema_metadata({"task": task}), path)
