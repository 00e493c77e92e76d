"""Several objectives: the trials that no other beats in all of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from configs.figures import new_figure, save_figure
from configs.metric_names import METRICS, sign
from search.record.history import TrialRecord, with_result


def objective_values(record: TrialRecord, objectives: Sequence[str]) -> tuple[float, ...]:
    """Returns the objectives of a trial in the epoch that is best by the first of them."""
    row = record.best(objectives[0])
    assert row is not None  # it has reported
    return tuple(row[name] for name in objectives)


def pareto_front(records: Sequence[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """Returns the trials that no other beats, which would be as good in all objectives and better in one.

    The best by the first objective comes first; of trials with the same values the earliest stands for all.
    """
    usable = with_result(records)
    signs = [sign(name) for name in objectives]
    points = {
        record.number: tuple(
            one * value for one, value in zip(signs, objective_values(record, objectives), strict=True)
        )
        for record in usable
    }

    def is_beaten(record: TrialRecord) -> bool:
        own = points[record.number]
        return any(
            all(a >= b for a, b in zip(points[other.number], own, strict=True))
            and (points[other.number] != own or other.number < record.number)
            for other in usable
            if other is not record
        )

    return sorted((record for record in usable if not is_beaten(record)), key=lambda r: points[r.number], reverse=True)


def draw_front(path: Path, records: Sequence[TrialRecord], front: Sequence[TrialRecord], names: Sequence[str]) -> None:
    """Draws all trials and the front, each further objective against the first.

    Args:
        path: of the picture, a .png.
        records: all trials.
        front: those that none beats.
        names: of the objectives.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure = new_figure(5 * (len(names) - 1), 4)
    axes: Any = figure.subplots(1, len(names) - 1, squeeze=False)[0]
    usable = with_result(records)
    for position, (axis, name) in enumerate(zip(axes, names[1:], strict=True), start=1):
        for chosen, style in ((usable, {"color": "0.7", "s": 12}), (front, {"color": "C3", "s": 30})):
            values = [objective_values(record, names) for record in chosen]
            axis.scatter([value[position] for value in values], [value[0] for value in values], **style)
        for record in front:
            value = objective_values(record, names)
            axis.annotate(str(record.number), (value[position], value[0]), textcoords="offset points", xytext=(4, 4))
        axis.set_xlabel(f"{name} ({METRICS[name]})")
        axis.set_ylabel(f"{names[0]} ({METRICS[names[0]]})")
    save_figure(figure, path)
