"""Keeps the table of classes of an epoch."""

import io
from pathlib import Path
from typing import Any

from configs.files import write_atomically


def write_class_table(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes the rows of ClassificationMetrics.class_table as parquet."""
    import pyarrow as pa  # here: it takes a moment to import, which predicting can do without
    import pyarrow.parquet as pq

    content = io.BytesIO()
    schema = pa.schema(
        {
            **{name: pa.string() for name in ("task", "class")},
            **{"images": pa.int64(), "recall": pa.float64(), "precision": pa.float64()},
            **{"confused_with": pa.string(), "confused_images": pa.int64()},
        }
    )
    pq.write_table(pa.Table.from_pylist(rows, schema), content)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content.getvalue())
