"""Puts a report together: one HTML file with its style, its script and its charts in it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import yaml

from configs.files import write_atomically
from search.analysis import FoundSearch
from search.record.events import SearchStarted
from search.record.history import TrialRecord
from search.record.outcomes import State
from search.record.table import trial_table
from search.views.describe import describe, short_names
from search.views.report.answer import cost_words, found_words, next_words, searched_words, states_words
from search.views.report.chart import Chart, css_of_state
from search.views.report.importance import importances
from search.views.report.key_charts import importance_chart, map_chart, parallel_chart, slice_charts
from search.views.report.progress_charts import by_trial_chart, curves_chart, history_chart
from search.views.report.result_charts import confirmation_chart, failures_chart, front_chart, lineage_chart
from search.views.report.svg import shown_number
from search.views.report.time_chart import timeline_chart
from search.views.trial_page import difference_from_base

_HERE = Path(__file__).parent
_LONG = 60  # characters from which a cell is broken into lines


def write_report(found: FoundSearch) -> Path:
    """Writes report.html and the pictures in report/, and returns the path of the page.

    Raises:
        OSError: they could not be written.
    """
    charts, slices = report_charts(found)
    found.folder.report_pictures.mkdir(exist_ok=True)
    drawn = [chart for chart in (*charts, *slices) if chart.drawing]
    for chart in drawn:
        path = found.folder.report_pictures / f"{chart.name}.svg"
        write_atomically(path, chart.drawing.to_svg(chart.name, chart.title, _picture_style()) if chart.drawing else "")
    for old in found.folder.report_pictures.glob("*.svg"):
        if old.stem not in {chart.name for chart in drawn}:  # of a search that has changed since
            old.unlink()
    write_atomically(found.folder.report, report_html(found, charts, slices))
    return found.folder.report


def report_charts(found: FoundSearch) -> tuple[list[Chart], list[Chart]]:
    """Returns the charts of a search in their order, and a small one for each key."""
    epoch, ranked = importances(found)
    order = [one.name for one in ranked]
    charts = [
        history_chart(found),
        by_trial_chart(found),
        confirmation_chart(found),
        front_chart(found),
        curves_chart(found, found.plan.rungs),
        lineage_chart(found),
        importance_chart(epoch, ranked),
        map_chart(found, epoch, order),
        parallel_chart(found, epoch),
        timeline_chart(found),
        failures_chart(found),
    ]
    return [chart for chart in charts if chart], slice_charts(found, epoch, order)


def report_html(found: FoundSearch, charts: Sequence[Chart], slices: Sequence[Chart]) -> str:
    """Returns the page."""
    sections = [_answer(found), *(section(chart) for chart in charts)]
    if slices:
        figures = "".join(f"<div><h3>{escape(chart.title)}</h3>{_figure(chart)}</div>" for chart in slices)
        epoch = found.comparable_epoch()
        sections.insert(
            _place_of_slices(charts),
            f'<section><h2>Each key alone</h2><p class="quiet">Values after epoch {epoch}, the last that enough '
            "samples have trained, the most important key first. Dots of one category are drawn apart.</p>"
            f'<div class="slices">{figures}</div></section>',
        )
    sections += [_trials(found), _environment(found)]
    tips = {str(number): _tip(found, one) for number, one in sorted(found.history.trials.items())}
    return whole_page(found.plan.name, sections, tips)


def whole_page(name: str, sections: Sequence[str], tips: Mapping[str, str]) -> str:
    """Returns a page that needs no other file.

    Args:
        name: its title.
        sections: HTML.
        tips: what is shown beside the marks of a trial, by its number.
    """
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(name)}: report of a search</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<style>{_file('page.css')}{_file('chart.css')}</style></head><body>"
        f"<header><h1>{escape(name)}</h1></header><main>{''.join(sections)}</main>"
        f'<div id="tip" role="status" hidden></div>'
        f'<script type="application/json" id="trials-data">{_in_script(json.dumps(tips))}</script>'
        f"<script>{_file('page.js')}</script></body></html>\n"
    )


def _place_of_slices(charts: Sequence[Chart]) -> int:
    """Returns the place behind the importances, or before what the workers did."""
    names = [chart.name for chart in charts]
    return names.index("importances") + 2 if "importances" in names else len(names) + 1


def _file(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _picture_style() -> str:
    """Returns the style of a picture that stands alone: always light."""
    light = _file("page.css").split("@media", 1)[0].replace("color-scheme: light dark;", "")
    return f"{light}svg {{ background: #ffffff; }}{_file('chart.css')}"


def _in_script(text: str) -> str:
    """Returns JSON that no text of a user's can end."""
    return text.replace("<", "\\u003c").replace("&", "\\u0026")


def _answer(found: FoundSearch) -> str:
    words = found_words(found)
    parts = [f'<p class="lead">{escape(words[0])}</p>', *(f"<p>{escape(one)}</p>" for one in words[1:])]
    parts += [f"<p>{escape(searched_words(found))}</p>"]
    parts += [f"<p>{escape(cost_words(found))} {escape(states_words(found))}</p>"]
    parts += [_difference(found)]
    steps = "".join(
        f"<li>{escape(text)}{f'<pre>{escape(command)}</pre>' if command else ''}</li>"
        for text, command in next_words(found)
    )
    return f'<section id="answer">{"".join(parts)}<h2>What to do next</h2><ul>{steps}</ul></section>'


def _difference(found: FoundSearch) -> str:
    best = found.history.best_trial(found.plan.options.metric)
    if best is None or best.is_reference:
        return ""
    rows = [
        (key, _value(values["base"]), _value(values["trial"]))
        for key, values in difference_from_base(found.plan, best).items()
    ]
    return f"<h2>{escape(best.title.capitalize())}, as a difference from the base</h2>" + html_table(
        ("key", "base", "winner"), rows
    )


def section(chart: Chart) -> str:
    """Returns a chart as a section of a page."""
    return f"<section><h2>{escape(chart.title)}</h2>{_figure(chart)}</section>"


def _figure(chart: Chart) -> str:
    caption = f"<figcaption>{escape(chart.caption)}</figcaption>" if chart.caption else ""
    table = html_table(chart.columns, chart.rows) if chart.rows else ""
    if chart.drawing is None:
        return table
    behind = f"<details><summary>The numbers</summary>{table}</details>" if table else ""
    legend = "".join(
        f'<span><span class="chip {css}"></span>{escape(words)}</span>' for css, words in chart.legend.items()
    )
    legend = f'<div class="legend">{legend}</div>' if legend else ""
    drawn = f'<div class="drawn">{chart.drawing.to_svg(chart.name, chart.title)}</div>'
    return f"<figure>{drawn}{legend}{caption}</figure>{behind}"


def html_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table whose texts are escaped."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f'<td class="long">{escape(text)}</td>' if len(text) > _LONG else f"<td>{escape(text)}</td>"


def _value(value: Any) -> str:
    return "not set" if value is None else shown_number(value)


def _trials(found: FoundSearch) -> str:
    """The table of all trials, which can be sorted and filtered; the numbers of results.csv, with six digits."""
    table = trial_table(found.plan, found.history)
    titles = {name: name for name in table} | short_names([name for name in table if "." in name])
    head = "".join(f'<th scope="col"><button type="button">{escape(titles[name])}</button></th>' for name in table)
    rows = []
    for values in zip(*table.values(), strict=True):
        record = found.history.trials[values[0]]
        cells = "".join(map(_cell, (f"{one:.6g}" if isinstance(one, float) else one for one in values)))
        rows.append(f'<tr data-t="{record.number}" tabindex="0" class="{css_of_state(record.state)}">{cells}</tr>')
    states = [state for state in State if any(one.state == state for one in found.history.trials.values())]
    boxes = "".join(
        f'<label><input type="checkbox" checked data-state="{css_of_state(state).removeprefix("s-")}"> '
        f'<span class="chip {css_of_state(state)}"></span>{escape(state)}</label>'
        for state in states
    )
    return (
        '<section><h2>All trials</h2><p class="quiet">As in results.csv, which has all digits.</p>'
        '<div class="controls"><label>Find <input type="search" id="search"></label>'
        f'{boxes}</div><p class="quiet" id="picked-words"></p>'
        f'<div class="scroll" tabindex="0"><table id="all-trials"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _environment(found: FoundSearch) -> str:
    starts = [event for event in found.history.events if isinstance(event, SearchStarted)]
    versions = starts[-1].versions if starts else {}
    resources = starts[-1].resources if starts else {}
    rows = [
        *versions.items(),
        *(
            (f"{name} of a trial" if name != "slots" else "trials at a time", f"{value:g}")
            for name, value in resources.items()
        ),
    ]
    commands = [str(run.get("command", "")) for run in _provenance(found)]
    written = escape(found.folder.space.read_text())
    space = f"<details><summary>The space file as used</summary><pre>{written}</pre></details>"
    given = "".join(f"<pre>{escape(command)}</pre>" for command in commands if command)
    return (
        f"<section><h2>How to reproduce it</h2><p>It was started with:</p>{given}"
        f"{html_table(('what', 'version'), rows)}{space}</section>"
    )


def _provenance(found: FoundSearch) -> list[dict[str, Any]]:
    try:
        runs = yaml.safe_load(found.folder.provenance.read_text())
    except (OSError, yaml.YAMLError):
        return []
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def _tip(found: FoundSearch, record: TrialRecord) -> str:
    """Returns what is shown beside a mark."""
    metric = found.plan.options.metric
    lines = [f"{record.title}: {record.state} after {len(record.rows)} epochs"]
    if record.confirms is not None:
        lines[0] = f"trial {record.number}, again {record.confirms}: {record.state} after {len(record.rows)} epochs"
    row = record.best(metric)
    if row:
        lines.append(f"{metric} {row[metric]:.4f} in epoch {row['epoch']}")
    lines += [describe({key: value}) for key, value in record.params.items()]
    return "\n".join([*lines, *([record.reason] if record.reason else [])])
