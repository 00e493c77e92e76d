"""What the searched keys did: importances, slices, all keys side by side, the two most important as a map."""

from collections.abc import Callable, Sequence
from typing import Any

from configs.metric_names import sign
from search.analysis import FoundSearch
from search.record.history import TrialRecord
from search.space.distributions import Choice
from search.space.items import Parameter
from search.views.describe import describe_conditions, short_names
from search.views.report.chart import Chart, css_of
from search.views.report.importance import FEWEST, WIDEST, Importance
from search.views.report.svg import Bands, Drawing, Scale, shown_number


def importance_chart(epoch: int, found: Sequence[Importance]) -> Chart | None:
    """How much each key matters."""
    if not found:
        return None
    names = short_names(list(dict.fromkeys(one.key for one in found)))
    labels = [names[one.key] + (f" ({one.branch.rpartition('.')[2]})" if one.branch else "") for one in found]
    drawing = Drawing(height=70 + 34 * len(found))
    left = 24.0 + 6.6 * max(map(len, labels))
    x = Scale(0.0, 1.0, left, drawing.x[1])
    for place in x.ticks():
        drawing.rule(x.at(place), drawing.y[0], x.at(place), drawing.y[1], "grid")
        drawing.text(x.at(place), drawing.y[0] + 17, shown_number(place), "tick", "middle")
    drawing.text(
        (x.start + x.end) / 2,
        drawing.height - 6,
        "share of the importance",
        "title",
        "middle",
    )
    for position, (one, label) in enumerate(zip(found, labels, strict=True)):
        top = drawing.y[1] + 6 + 34 * position
        drawing.text(left - 8, top + 15, label, "tick", "end")
        drawing.box(left, top, x.at(one.share) - left, 20, "bar" if one.can_be_told else "bar unsure")
        drawing.rule(x.at(one.low), top + 10, x.at(one.high), top + 10, "whisker")
        if not one.can_be_told:
            drawing.text(x.end, top + 31, one.why_not, "tick", "end")
    caption = (
        f"PED-ANOVA of values after epoch {epoch}, the last that enough samples have trained. The bar is the median "
        "over resamples of the trials, the thin line the middle 80 %; a branch's keys are looked at among its own "
        f"trials. With fewer than {FEWEST} trials, or an interval wider than {WIDEST:g}, nothing can be told. Keys "
        "that matter early need not matter at the end."
    )
    rows = [
        (
            one.key,
            one.branch,
            f"{one.share:.2f}",
            f"{one.low:.2f} to {one.high:.2f}",
            one.trials,
            "yes" if one.can_be_told else "no",
        )
        for one in found
    ]
    columns = ("key", "within", "share", "80 % interval", "trials", "can be told")
    return Chart("importances", "Which keys mattered", caption, drawing, columns, rows)


def slice_charts(found: FoundSearch, epoch: int, order: Sequence[str]) -> list[Chart]:
    """A chart for each parameter: its values, and what was reached with them, the most important first."""
    metric, charts = found.plan.options.metric, []
    names = short_names([parameter.key for parameter in found.plan.space.parameters])
    ranked = sorted(
        found.plan.space.parameters, key=lambda one: order.index(one.name) if one.name in order else len(order)
    )
    for number, parameter in enumerate(ranked):
        records = _comparable(found, epoch, parameter)
        if not records:
            continue
        drawing = Drawing(width=350, height=260)
        x, place = _parameter_scale(parameter, *drawing.x)
        y = Scale.of([record.rows[epoch - 1][metric] for record in records], *drawing.y)
        drawing.axis_x(x, names[parameter.key])
        drawing.axis_y(y, metric)
        rows = []
        for record in records:
            value, reached = record.params_at(epoch)[parameter.key], record.rows[epoch - 1][metric]
            drawing.dot(place(value) + _shift(x, record, 7), y.at(reached), css_of(record), record.number, 3.5)
            rows.append((record.number, shown_number(value), shown_number(reached)))
        within = f" within {describe_conditions(parameter.conditions)}" if parameter.conditions else ""
        charts.append(
            Chart(
                f"slice-{number + 1}",
                f"{parameter.key}{within}",
                "",
                drawing,
                ("trial", names[parameter.key], metric),
                rows,
            )
        )
    return charts


def parallel_chart(found: FoundSearch, epoch: int) -> Chart | None:
    """Every sample as a line through its values."""
    metric = found.plan.options.metric
    parameters = [one for one in found.plan.space.parameters if not one.conditions]
    records = [one for one in found.history.samples() if len(one.rows) >= epoch > 0]
    records = [one for one in records if all(parameter.key in one.params for parameter in parameters)]
    if len(parameters) < 2 or not records:
        return None
    drawing = Drawing(height=340)
    names = short_names([parameter.key for parameter in parameters])
    columns = Scale(0.0, float(len(parameters)), drawing.x[0] + 50, drawing.x[1] - 30)
    values = [record.rows[epoch - 1][metric] for record in records]
    places: list[Callable[[Any], float]] = []
    for position, parameter in enumerate(parameters):
        scale, place = _parameter_scale(parameter, *drawing.y)
        places.append(place)
        _vertical(drawing, columns.at(position), scale, names[parameter.key])
    reached = Scale.of(values, *drawing.y)
    _vertical(drawing, columns.at(len(parameters)), reached, metric)
    ranked = sorted(zip(records, values, strict=True), key=lambda pair: sign(metric) * pair[1])
    rows: list[tuple[Any, ...]] = []
    for rank, (record, value) in enumerate(ranked):
        try:
            known = record.params_at(epoch)
            own = [place(known[one.key]) for one, place in zip(parameters, places, strict=True)]
        except (ValueError, KeyError):  # of an earlier space
            continue
        rows.append((record.number, *(shown_number(known[one.key]) for one in parameters), shown_number(value)))
        points = [(columns.at(position), one) for position, one in enumerate([*own, reached.at(value)])]
        quarter = "q4" if rank >= 0.75 * len(ranked) else "q1"
        drawing.line(points, f"{css_of(record)} parallel {quarter}", record.number)
    caption = f"A line a sample, by its value after epoch {epoch}; the best quarter is dark."
    titles = ("trial", *(names[parameter.key] for parameter in parameters), metric)
    title = "Samples across " + (
        "all keys" if len(parameters) == len(found.plan.space.parameters) else "the keys of all"
    )
    return Chart("parallel", title, caption, drawing, titles, rows[::-1])


def _vertical(drawing: Drawing, x: float, scale: "Scale | Bands", title: str) -> None:
    drawing.rule(x, drawing.y[0], x, drawing.y[1], "axis")
    labels = scale.values if isinstance(scale, Bands) else scale.ticks(4)
    for label in labels:
        text = label if isinstance(label, str) else shown_number(label)
        drawing.text(x - 5, scale.at(label) + 4, text if len(text) < 14 else f"{text[:13]}…", "tick", "end")  # type: ignore[arg-type]
    drawing.text(x, drawing.height - 14, title if len(title) < 20 else f"{title[:19]}…", "title", "middle")


def map_chart(found: FoundSearch, epoch: int, order: Sequence[str]) -> Chart | None:
    """The two most important keys as a map."""
    metric = found.plan.options.metric
    always = {one.name: one for one in found.plan.space.parameters if not one.conditions}
    chosen = [always[name] for name in order if name in always][:2]
    if len(chosen) < 2:
        return None
    first, second = chosen
    with_second = {record.number for record in _comparable(found, epoch, second)}
    records = [record for record in _comparable(found, epoch, first) if record.number in with_second]
    if not records:
        return None
    drawing = Drawing(height=360)
    x, place_x = _parameter_scale(first, *drawing.x)
    y, place_y = _parameter_scale(second, *drawing.y)
    names = short_names([first.key, second.key])
    drawing.axis_x(x, names[first.key])
    drawing.axis_y(y, names[second.key])
    ranked = sorted(records, key=lambda record: sign(metric) * record.rows[epoch - 1][metric])
    rows = []
    for rank, record in enumerate(ranked):
        values = record.params_at(epoch)
        share = rank / max(1, len(ranked) - 1)
        where = (
            place_x(values[first.key]) + _shift(x, record, 7),
            place_y(values[second.key]) + _shift(y, record, 5),
        )
        drawing.dot(*where, f"{css_of(record)} rank r{min(4, int(share * 5))}", record.number, 3 + 4 * share)
        rows.append(
            (
                record.number,
                shown_number(values[first.key]),
                shown_number(values[second.key]),
                shown_number(record.rows[epoch - 1][metric]),
            )
        )
    caption = f"The larger and darker a dot, the better its value after epoch {epoch}."
    columns = ("trial", names[first.key], names[second.key], metric)
    return Chart("map", f"{names[first.key]} and {names[second.key]}", caption, drawing, columns, rows)


def _shift(scale: "Scale | Bands", record: TrialRecord, step: int) -> float:
    """Returns pixels by which a dot is moved within its category, so that those of one category are apart."""
    return (record.number * step % 11 - 5) / 14 * scale.width if isinstance(scale, Bands) else 0.0


def _parameter_scale(parameter: Parameter, start: float, end: float) -> tuple["Scale | Bands", Callable[[Any], float]]:
    """Returns the scale of a parameter, and what places a value on it."""
    if isinstance(parameter.distribution, Choice):
        bands = Bands([shown_number(value) for value in parameter.distribution.values()], start, end)
        return bands, lambda value: bands.at(shown_number(value))
    low, high = parameter.distribution.probes()[:2]
    is_log = "log" in parameter.distribution.word
    scale = Scale.of([low, high], start, end, is_log)
    return scale, scale.at


def _comparable(found: FoundSearch, epoch: int, parameter: Parameter) -> list[TrialRecord]:
    reached = [record for record in found.history.samples() if len(record.rows) >= epoch > 0]
    return [record for record in reached if parameter.is_within(record.params_at(epoch))]
