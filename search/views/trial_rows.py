"""The table of trials: filtered, sorted, cut, and written in several forms."""

import csv
import io
import json
import operator
import re
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import Any

from rich.table import Table

from configs.errors import Problems, did_you_mean
from configs.metric_names import METRICS, sign
from search.record.outcomes import State
from search.views.describe import short_names

_IN_TRIAL = {"is_reference", "confirms"}  # said beside the number
_SELDOM = ("id", "node", "seconds", "reason", "SEED")
_LONGEST = 40  # characters of a column that a narrow terminal shows at least
_TESTS = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


class Rows:
    """The trials of a search as rows of a table.

    Args:
        table: from `trial_table`.
        metric: by which rows are sorted.
        hidden: columns that are shown where they are asked for alone.
    """

    def __init__(self, table: dict[str, list[Any]], metric: str, hidden: Sequence[str] = ()):
        self._metric = metric
        self._columns = [name for name in table if name not in hidden]
        self._are_chosen = False
        self._rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
        keys = [name for name in table if "." in name]
        self._titles = {name: name for name in table} | short_names(keys)

    def chosen(
        self, tests: Sequence[str], sort: str | None, is_reversed: bool, top: int | None, columns: str | None
    ) -> "Rows":
        """Returns some of the rows and columns.

        Args:
            tests: as `val_score>0.9`; a row must pass all.
            sort: the column by which rows are sorted, best or largest first; None: the metric.
            is_reversed: the other way round.
            top: how many of the first are kept; None: all.
            columns: their names, separated by commas; None: all.

        Raises:
            ConfigError: a column is unknown, or a test cannot be read.
        """
        problems = Problems()
        passed = [test for text in tests if (test := self._test(text, problems))]
        by = self._name(sort or self._metric, "--sort", problems)
        names = [self._name(name.strip(), "--columns", problems) for name in columns.split(",")] if columns else None
        if top is not None and top < 1:
            problems.add(f"--top: found {top}, allowed is a whole number from 1 on")
        problems.check()
        found = copy(self)
        found._rows = sorted(
            (row for row in self._rows if all(_passes(row[name], compare, value) for name, compare, value in passed)),
            key=lambda row: _rank(by, row[by], is_reversed),
        )[:top]
        found._columns, found._are_chosen = names or self._columns, names is not None
        return found

    def _test(self, text: str, problems: Problems) -> tuple[str, Any, str] | None:
        read = re.fullmatch(r"\s*([\w.\- ]+?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", text)
        if read is None:
            problems.add(
                f"--where: found {text!r}, allowed is a column, one of {' '.join(_TESTS)} and a value, as in state=done"
            )
            return None
        name, value = self._name(read[1], "--where", problems), read[3]
        found = [row[name] for row in self._rows if row.get(name) is not None]
        if name == "state" and value.lower() not in {*State}:
            problems.add(f"--where: found {text!r}, allowed states are {', '.join(State)}.{did_you_mean(value, State)}")
        elif found and not any(isinstance(one, str | bool) for one in found) and not _is_number(value):
            problems.add(f"--where: found {text!r}, but {read[1]} is a number")
        return name, _TESTS[read[2]], value

    def _name(self, given: str, option: str, problems: Problems) -> str:
        """Returns the column that is meant, by its name or the end of it that the table shows."""
        for name, title in self._titles.items():
            if given in (name, title):
                return name
        names = [*self._titles, *self._titles.values()]
        hint = did_you_mean(given, names) or f" There are {', '.join(self._titles.values())}."
        problems.add(f"{option}: there is no column {given!r}.{hint}")
        return given

    def is_empty(self) -> bool:
        """Whether there is no row."""
        return not self._rows

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns a mapping for each row; lists are lists."""
        return [{name: _decoded(row[name]) for name in self._columns} for row in self._rows]

    def to_csv(self) -> str:
        """Returns the rows as CSV, floats with all their digits."""
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: row[name] for name in self._columns} for row in self._rows)
        return text.getvalue()

    def to_rich(self, width: int) -> tuple[Table, list[str]]:
        """Returns the rows for a terminal, and the titles of the columns for which it is too narrow.

        Columns without any value are left out.

        Args:
            width: of the terminal, in columns.
        """
        names = [name for name in self._columns if any(row[name] not in (None, "") for row in self._rows)]
        names = names or self._columns
        cells = {name: [_shown(name, row[name]) for row in self._rows] for name in names}
        if not self._are_chosen:
            cells["trial"] = [_which(row) for row in self._rows]
            # results first, then parameters, then what is seldom asked for
            names = sorted(set(names) - _IN_TRIAL, key=lambda one: (one in _SELDOM, "." in one, names.index(one)))
            cells = {name: cells[name] for name in names}
        table, room = Table(box=None, padding=(0, 1, 0, 0), header_style="bold"), width
        shown: list[str] = []
        for name, values in cells.items():
            needed = max(len(self._titles[name]), *map(len, values), 0) + 1
            if min(needed, _LONGEST) > room and shown:
                continue
            room -= min(needed, _LONGEST)
            shown.append(name)
            is_number = all(isinstance(row[name], int | float | None) for row in self._rows)
            table.add_column(
                self._titles[name], justify="right" if is_number else "left", overflow="ellipsis", no_wrap=True
            )
        for row in zip(*(cells[name] for name in shown), strict=True):
            table.add_row(*row)
        return table, [self._titles[name] for name in cells if name not in shown]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _which(row: dict[str, Any]) -> str:
    """Returns the number of a trial, and whether it is the base or a repeat."""
    if row.get("is_reference"):
        return f"{row['trial']} base"
    again = row.get("confirms")
    return str(row["trial"]) if again is None else f"{row['trial']} again {again}"


def _passes(found: Any, compare: Any, wanted: str) -> bool:
    """Whether a value passes a test: as a number where both are one, else as text; what is missing passes != alone."""
    if found is None:
        return compare is operator.ne
    if not isinstance(found, bool):
        try:
            return bool(compare(float(found), float(wanted)))
        except ValueError:
            pass
    return bool(compare(str(found).lower(), wanted.lower()))


def _rank(name: str, value: Any, is_reversed: bool) -> tuple[bool, float, str]:
    """Returns what a row is sorted by: numbers before text, what is missing last."""
    if value is None:
        return True, 0.0, ""
    if isinstance(value, int | float):
        direction = (sign(name) if name in METRICS else 1.0) * (-1 if is_reversed else 1)
        return False, -direction * value, ""
    return False, 0.0, str(value)


def _decoded(value: Any) -> Any:
    """Returns a list of the config, which a table holds as text."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):
            return json.loads(value)
    return value


def _shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}" if name in METRICS or name == "over_reference" else f"{value:.4g}"
    return str(value)
