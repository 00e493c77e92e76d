"""What came out: several objectives, repeats with other seeds, a population's lineage, failures."""

from search.analysis import FoundSearch
from search.record.confirmation import confirmed
from search.record.failures import kind_of_failure
from search.record.history import TrialRecord, best_records
from search.record.lineage import segments_of
from search.record.outcomes import State
from search.record.pareto import objective_values, pareto_front
from search.views.report.chart import Chart, css_of
from search.views.report.svg import Bands, Drawing, Scale, shown_number


def front_chart(found: FoundSearch) -> Chart | None:
    """Two objectives, and the trials that no other beats."""
    objectives = found.plan.options.objectives
    records = best_records(found.history.candidates(), objectives[0])
    if len(objectives) < 2 or not records:
        return None
    front = pareto_front(records, objectives)
    points = {record.number: objective_values(record, objectives) for record in records}
    drawing = Drawing()
    x = Scale.of([point[1] for point in points.values()], *drawing.x)
    y = Scale.of([point[0] for point in points.values()], *drawing.y)
    drawing.axis_x(x, objectives[1])
    drawing.axis_y(y, objectives[0])
    for record in records:
        is_front = " front" if record in front else ""
        drawing.dot(
            x.at(points[record.number][1]), y.at(points[record.number][0]), css_of(record) + is_front, record.number
        )
    rows = [(record.number, *map(shown_number, points[record.number])) for record in front]
    return Chart(
        "front",
        "Pareto front",
        "Ringed: no trial is better in one objective and as good in the others.",
        drawing,
        ("trial", *objectives),
        rows,
    )


def confirmation_chart(found: FoundSearch) -> Chart | None:
    """The best configs with other seeds."""
    options = found.plan.options
    repeated = confirmed(found.history, options.metric, options.confirms_by_cost)
    if not repeated:
        return None
    drawing = Drawing(height=70 + 34 * len(repeated))
    values = [value for one in repeated for value in one.values]
    ends = [one.mean + side * one.interval for one in repeated for side in (-1, 1)]
    x = Scale.of([*values, *ends], 110.0, drawing.x[1])
    drawing.axis_x(x, f"{options.metric} with other seeds")
    rows = []
    for position, one in enumerate(repeated):
        middle = drawing.y[1] + 18 + 34.0 * position
        drawing.text(
            102, middle + 4, "base config" if one.record.is_reference else f"trial {one.record.number}", "tick", "end"
        )
        drawing.rule(x.at(one.mean - one.interval), middle, x.at(one.mean + one.interval), middle, "whisker")
        for value in one.values:
            drawing.dot(x.at(value), middle, css_of(one.record), one.record.number, 3)
        drawing.box(x.at(one.mean) - 1.5, middle - 9, 3, 18, "mean")
        rows.append((one.record.title, len(one.values), shown_number(one.mean), f"{one.interval:.4f}"))
    caption = "Dots are single trainings, the bar their mean, the line its 95 % interval. The first is the winner."
    return Chart(
        "confirmation", "The best, trained again", caption, drawing, ("config", "seeds", "mean", "+- (95 %)"), rows
    )


def lineage_chart(found: FoundSearch) -> Chart | None:
    """Whose weights each trial of a population has taken over."""
    if not found.plan.options.scheduler_spec.is_population:
        return None
    records = [record for record in found.history.samples() if record.rows]
    if not records:
        return None
    drawing = Drawing(height=60 + 24 * len(records))
    x = Scale.of([0, max(len(record.rows) for record in records)], *drawing.x)
    y = Bands([str(record.number) for record in records], *reversed(drawing.y))
    drawing.axis_x(x, "epoch")
    drawing.axis_y(y, "trial")
    rows = []
    for record in records:
        segments = segments_of(record.settings)
        begin = max((one.last for one in segments), default=0)
        for one in segments:
            donor = str(one.trial) if str(one.trial) in y.values else str(record.number)
            drawing.line(
                [
                    (x.at(one.first - 1), y.at(donor)),
                    (x.at(one.last), y.at(donor)),
                    (x.at(one.last), y.at(str(record.number))),
                ],
                "taken",
                record.number,
            )
            rows.append((record.number, f"{one.first} to {one.last}", one.trial))
        drawing.line(
            [(x.at(begin), y.at(str(record.number))), (x.at(len(record.rows)), y.at(str(record.number)))],
            css_of(record),
            record.number,
        )
    caption = "Solid: trained with a trial's own values. Thin: an earlier part of its weights, from another trial."
    return Chart("lineage", "Whose weights went where", caption, drawing, ("trial", "epochs", "from trial"), rows)


def failures_chart(found: FoundSearch) -> Chart | None:
    """Failures by cause."""
    causes: dict[str, list[TrialRecord]] = {}
    for record in found.history.in_state(State.FAILED):
        causes.setdefault(kind_of_failure(record), []).append(record)
    if not causes:
        return None
    rows = []
    for alike in sorted(causes.values(), key=len, reverse=True):
        numbers = ", ".join(str(record.number) for record in alike[:8]) + (" ..." if len(alike) > 8 else "")
        rows.append((len(alike), alike[0].reason, numbers))
    columns = ("trials", "reason of the first of them", "their numbers")
    return Chart("failures", "What failed, by cause", "", None, columns, rows)
