"""The trials of a search as a table."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from configs.metric_names import sign
from search.plan import SearchPlan
from search.record.history import History
from search.record.outcomes import ENDED, State

if TYPE_CHECKING:
    import pandas as pd


def trial_table(plan: SearchPlan, history: History, metrics: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Returns the columns of results.csv: a row for each trial that has begun, by number.

    Args:
        plan: of the search.
        history: of the search.
        metrics: beside the objectives.
    """
    records = [one for _, one in sorted(history.trials.items()) if one.has_begun or one.state in ENDED]
    of_space = [item.key for item in plan.space.items]
    keys = {key: None for record in records for key in record.params}  # those of an earlier space come last
    ordered = [
        *(key for key in dict.fromkeys(of_space) if key in keys),
        *(key for key in keys if key not in of_space),
    ]
    metric = plan.options.metric
    rows = [record.best(metric) or {} for record in records]
    table: dict[str, list[Any]] = {
        "trial": [record.number for record in records],
        "id": [record.id for record in records],
        "state": [record.state.value for record in records],
    }
    if any(record.confirms is not None for record in records):
        table["confirms"] = [record.confirms for record in records]
    base = history.reference()
    if base is not None:
        table["is_reference"] = [record.is_reference for record in records]
    params = [r.params_at(row["epoch"]) if row else r.params for r, row in zip(records, rows, strict=True)]
    table |= {key: [_cell(of_trial.get(key)) for of_trial in params] for key in ordered}
    table |= {name: [row.get(name) for row in rows] for name in dict.fromkeys([*plan.options.objectives, *metrics])}
    if base is not None and base.state == State.DONE and (of_base := base.best(metric)):
        table["over_reference"] = [
            sign(metric) * (row[metric] - of_base[metric]) if row and record.state == State.DONE else None
            for record, row in zip(records, rows, strict=True)
        ]
    table["best_epoch"] = [row.get("epoch") for row in rows]
    table["epochs"] = [len(record.rows) for record in records]
    if any(record.node for record in records):
        table["node"] = [record.node for record in records]
    table["seconds"] = [round(record.seconds, 3) for record in records]
    table["reason"] = [record.reason for record in records]
    return table


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, tuple)) else value


def column(values: list[Any]) -> "pd.Series[Any]":
    """Whole numbers stay whole where some are missing; values of several kinds, as of a choice, become text."""
    import pandas as pd

    given = [value for value in values if value is not None]
    kinds = {float if isinstance(value, int) and not isinstance(value, bool) else type(value) for value in given}
    if len(kinds) > 1 or not kinds <= {bool, float, str}:
        return pd.Series([value if value is None or isinstance(value, str) else json.dumps(value) for value in values])
    if given and all(isinstance(value, int) and not isinstance(value, bool) for value in given):
        return pd.Series(values, dtype="int64" if len(given) == len(values) else "Int64")
    return pd.Series(values)


def to_frame(table: dict[str, list[Any]]) -> "pd.DataFrame":
    """Returns a table as pandas has it."""
    import pandas as pd

    return pd.DataFrame({name: column(values) for name, values in table.items()})
