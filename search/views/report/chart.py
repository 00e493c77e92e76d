"""A chart of a report, with the table behind it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.record.history import TrialRecord
from search.record.outcomes import State
from search.views.report.svg import Drawing


@dataclass(frozen=True)
class Chart:
    """A chart with the table behind it.

    Attributes:
        name: of its file, and its id in the page.
        title: what it shows.
        caption: how to read it, and what it leaves out.
        drawing: the picture; None: a table alone.
        columns: of the table.
        rows: of the table.
        legend: words for the CSS classes of colours.
    """

    name: str
    title: str
    caption: str
    drawing: Drawing | None
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = field(default=(), repr=False)
    legend: Mapping[str, str] = field(default_factory=dict)


def css_of(record: TrialRecord) -> str:
    """Returns the classes of a trial's marks."""
    kind = "base" if record.is_reference else "repeat" if record.confirms is not None else "sample"
    return f"t {css_of_state(record.state)} {kind}"


def legend_of(records: Iterable[TrialRecord]) -> dict[str, str]:
    """Returns the legend of the colours of trials: a state each, the base config, repeats."""
    legend: dict[str, str] = {}
    for record in records:
        words = "base config" if record.is_reference else str(record.state)
        words = "repeat of a trial with another seed" if record.confirms is not None else words
        legend.setdefault(words, css_of(record))
    return {css: words for words, css in sorted(legend.items())}


def css_of_state(state: State) -> str:
    """Returns the class of what belongs to trials in a state."""
    return f"s-{state.replace(' ', '-')}"
