"""Several searches on one page: one chart, one table."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from configs.errors import ConfigError
from configs.files import shown_path, write_atomically
from configs.metric_names import sign
from search.analysis import FoundSearch
from search.views.describe import describe, duration
from search.views.report.chart import Chart
from search.views.report.page import html_table, section, whole_page
from search.views.report.svg import Drawing, Scale, shown_number

COLOURS = 6  # in chart.css; more searches than that take them again


def check_comparable(searches: Sequence[FoundSearch]) -> None:
    """Raises ConfigError if searches have different metrics."""
    metrics = {str(found.folder.path): found.plan.options.metric for found in searches}
    if len({*metrics.values()}) > 1:
        told = ", ".join(f"{path} has {metric}" for path, metric in metrics.items())
        raise ConfigError(f"searches are compared by one metric, but {told}; report those with the same one together")


def write_comparison(searches: Sequence[FoundSearch], path: Path) -> None:
    """Writes a page that compares searches of one metric."""
    chart = _chart(searches)
    title = " and ".join(_names(searches))
    lead = f'<section><p class="lead">{escape(_words(searches))}</p></section>'
    table = f"<section><h2>In numbers</h2>{html_table(chart.columns, chart.rows)}</section>"
    write_atomically(path, whole_page(title, [lead, section(replace(chart, rows=())), table], {}))


def _names(searches: Sequence[FoundSearch]) -> list[str]:
    """Returns what the searches are called: by their names, where these are different, else by their folders."""
    names = [found.plan.name for found in searches]
    return names if len({*names}) == len(names) else [shown_path(found.folder.path) for found in searches]


def _words(searches: Sequence[FoundSearch]) -> str:
    metric = searches[0].plan.options.metric
    best = [(value, found) for found in searches if (value := _best(found)) is not None]
    if not best:
        return "None of these searches has a result."
    value, winner = max(best, key=lambda pair: sign(metric) * pair[0])
    return f"The best is of {winner.plan.name}: {metric} {value:.4f} (single trainings, which may be luck)."


def _best(found: FoundSearch) -> float | None:
    record = found.history.best_trial(found.plan.options.metric)
    row = record.best(found.plan.options.metric) if record else None
    return None if row is None else float(row[found.plan.options.metric])


def _chart(searches: Sequence[FoundSearch]) -> Chart:
    metric = searches[0].plan.options.metric
    steps, names = [found.best_by_cost() for found in searches], _names(searches)
    drawing = Drawing()
    x = Scale.of([0, *(cost for one in steps for cost, *_ in one)], *drawing.x)
    y = Scale.of([value for one in steps for *_, value in one], *drawing.y)
    drawing.axis_x(x, "epochs trained, of all trials together")
    drawing.axis_y(y, metric)
    rows, legend = [], {}
    for number, (found, own) in enumerate(zip(searches, steps, strict=True)):
        css = f"c{number % COLOURS}"
        drawing.stairs([(x.at(cost), y.at(value)) for cost, _, value in own], f"compared {css}")
        legend[css] = names[number]
        rows.append(_row(found))
    caption = "The best value so far of each search, by what it cost."
    columns = ("search", "folder", f"best {metric}", "base", "trials", "epochs", "trials' time", "the best has")
    return Chart("comparison", "Compared by what they cost", caption, drawing, columns, rows, legend)


def _row(found: FoundSearch) -> tuple[object, ...]:
    metric, history = found.plan.options.metric, found.history
    best, base = history.best_trial(metric), history.reference()
    row = best.best(metric) if best else None
    of_base = base.best(metric) if base else None
    return (
        found.plan.name,
        shown_path(found.folder.path),
        shown_number(row[metric]) if row else "",
        shown_number(of_base[metric]) if of_base else "",
        len(history.trials),
        sum(len(record.rows) for record in history.trials.values()),
        duration(sum(record.seconds for record in history.trials.values())),
        describe(best.params_at(row["epoch"])) if best and row else "",
    )
