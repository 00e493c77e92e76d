"""What trials reached: the best so far, each trial, every learning curve."""

from collections.abc import Sequence

from search.analysis import FoundSearch
from search.record.events import EpochReported
from search.record.history import best_records
from search.record.outcomes import State
from search.views.report.chart import Chart, css_of, legend_of
from search.views.report.svg import Drawing, Scale, shown_number


def history_chart(found: FoundSearch) -> Chart | None:
    """The best value so far, by what it cost."""
    metric, trials = found.plan.options.metric, found.history.trials
    steps = found.best_by_cost()
    if not steps:
        return None
    reported = [event for event in found.history.events if isinstance(event, EpochReported)]
    points = [(cost, trials[event.trial], event.metrics[metric]) for cost, event in enumerate(reported, start=1)]
    shown = [point for point in points if point[1].confirms is None]
    drawing = Drawing()
    x, y = Scale.of([0, len(reported)], *drawing.x), Scale.of([value for *_, value in shown], *drawing.y)
    drawing.axis_x(x, "epochs trained, of all trials together")
    drawing.axis_y(y, metric)
    _base_line(drawing, found, y)
    for cost, record, value in shown:
        drawing.dot(x.at(cost), y.at(value), css_of(record), record.number, 2.5)
    drawing.stairs([(x.at(cost), y.at(value)) for cost, _, value in steps], "best")
    rows = [(cost, record.title, shown_number(value)) for cost, record, value in steps[:-1]]
    caption = (
        "Each dot is an epoch of a trial; those of repeats with other seeds are left out. The line is the best so far, "
        "the dashed one the best epoch of the base config."
    )
    legend = legend_of(record for _, record, _ in shown)
    columns = ("epochs trained", "trial", metric)
    return Chart("history", "How the best was found", caption, drawing, columns, rows, legend)


def by_trial_chart(found: FoundSearch) -> Chart | None:
    """Each trial's best value, in the order in which they were sampled."""
    metric = found.plan.options.metric
    records = best_records(found.history.candidates(), metric)
    if not records:
        return None
    drawing = Drawing()
    values = {record.number: (record.best(metric) or {})[metric] for record in records}
    x = Scale.of([*values], *drawing.x)
    y = Scale.of([*values.values()], *drawing.y)
    drawing.axis_x(x, "trial")
    drawing.axis_y(y, metric)
    _base_line(drawing, found, y)
    for record in records:
        drawing.dot(x.at(record.number), y.at(values[record.number]), css_of(record), record.number)
    rows = [
        (record.number, str(record.state), len(record.rows), shown_number(values[record.number])) for record in records
    ]
    caption = (
        "The best epoch of each trial, whatever their number: pale ones were stopped early, or wait at a rung. The "
        "dashed line is the base config."
    )
    columns = ("trial", "state", "epochs", metric)
    return Chart("trials", "What each trial reached", caption, drawing, columns, rows, legend_of(records))


def curves_chart(found: FoundSearch, rungs: Sequence[int]) -> Chart | None:
    """Every learning curve."""
    metric = found.plan.options.metric
    records = [record for _, record in sorted(found.history.trials.items()) if record.rows]
    if not records:
        return None
    drawing = Drawing()
    x = Scale.of([1, max(len(record.rows) for record in records)], *drawing.x)
    y = Scale.of([row[metric] for record in records for row in record.rows], *drawing.y)
    drawing.axis_x(x, "epoch")
    drawing.axis_y(y, metric)
    for rung in rungs:
        if rung <= x.high:
            drawing.rule(x.at(rung), drawing.y[0], x.at(rung), drawing.y[1], "rung")
    records.sort(key=lambda record: record.is_reference or record.state == State.DONE)  # whole ones above
    for record in records:
        points = [(x.at(row["epoch"]), y.at(row[metric])) for row in record.rows]
        drawing.line(points, css_of(record), record.number)
        drawing.dot(*points[-1], css_of(record), record.number, 2.5)
    caption = (
        "Each line is a trial, with a dot where it ended. Pale ones were stopped early, or wait at a rung (dotted "
        "vertical line: an epoch after which trials are compared); the thick one is the base config."
    )
    rows = [(one.number, str(one.state), *[shown_number(row[metric]) for row in one.rows]) for one in records]
    longest = max(len(row) for row in rows) - 2
    rows = [(*row, *[""] * (longest + 2 - len(row))) for row in sorted(rows)]
    columns = ("trial", "state", *[f"epoch {epoch}" for epoch in range(1, longest + 1)])
    return Chart("curves", "Learning curves", caption, drawing, columns, rows, legend_of(records))


def _base_line(drawing: Drawing, found: FoundSearch, y: Scale) -> None:
    base = found.history.reference()
    row = base.best(found.plan.options.metric) if base else None
    if base and row:
        level = y.at(row[found.plan.options.metric])
        drawing.rule(drawing.x[0], level, drawing.x[1], level, "base-line", base.number)
