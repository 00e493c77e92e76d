"""One trial in full: how it differs from the base, what it reached, what its time went to, how it is run alone."""

import json
import time
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from configs.defaults import KEYS
from configs.errors import ConfigError, counted
from configs.files import shown_path
from configs.metric_names import sign
from configs.tree import get_value, plain
from search.analysis import FoundSearch
from search.plan import SearchPlan
from search.record.events import EpochReported, TrialEnded, TrialPromoted, TrialStarted, WorkerReady
from search.record.history import History, TrialRecord
from search.record.results import retrain_command
from search.space.start import base_values
from search.views.describe import duration
from search.views.screen import sparkline

_TAIL = 10  # lines of the log
_METRICS = ("epoch", "train_loss", "val_loss", "val_acc", "val_score")


def trial_page(found: FoundSearch, number: int) -> dict[str, Any]:
    """Returns all that is known of a trial, as mappings and lists that JSON has.

    Args:
        found: the search.
        number: of the trial.

    Raises:
        ConfigError: there is no such trial.
    """
    plan, history, folder = found.plan, found.history, found.folder
    record = history.trials.get(number)
    if record is None:
        numbers = f"0 to {max(history.trials)}" if history.trials else "none yet"
        raise ConfigError(f"--trial: found {number}, but {folder.path} has no such trial; there are {numbers}")
    run = folder.trial(record.name)
    metric = plan.options.metric
    log = run.log.read_text(errors="replace").splitlines() if run.log.exists() else []
    return {
        "trial": number,
        "name": record.name,
        "folder": shown_path(run.path),
        "state": str(record.state),
        "reason": record.reason,
        "is_reference": record.is_reference,
        "confirms": record.confirms,
        "metric": metric,
        "best": record.best(metric),
        "epochs": len(record.rows),
        "total_epochs": plan.total_epochs(record.settings),
        "difference": difference_from_base(plan, record),
        "curve": record.rows,
        "promotions": _promotions(history, number),
        "timing": _timing(history, number),
        "node": record.node,
        "failures": record.failures,
        "unread": list(record.unread),
        "log": shown_path(run.log),
        "log_tail": log[-_TAIL:],
        "rerun": retrain_command(run.config, folder.for_retraining(record.name)) if run.config.exists() else None,
    }


def difference_from_base(plan: SearchPlan, record: TrialRecord) -> dict[str, dict[str, Any]]:
    """Returns base and trial for each key that differs; a branch differs where the base has another, or none."""
    values = record.settings | {key: value for key, value in record.params.items() if key not in KEYS}
    branches = base_values(plan.space)
    found = {}
    for key, value in values.items():
        base = plain(get_value(plan.base_cfg, key)) if key in KEYS else branches.get(key)
        if base != value:
            found[key] = {"base": base, "trial": value}
    return found


def _promotions(history: History, number: int) -> list[str]:
    found = []
    for event in history.events:
        if isinstance(event, TrialPromoted) and event.trial == number:
            why = event.promotion
            of_kind = f" with {why.kind}" if why.kind else ""
            place = f"rank {why.place} of {counted(why.of, 'trial')}{of_kind}"
            found.append(
                f"epoch {why.rung}: {place}" + (", trained whole as one of the first of its kind" * why.is_whole)
            )
    return found


def _timing(history: History, number: int) -> dict[str, Any]:
    """Returns when a trial began and ended, and the seconds that its time went to."""
    seconds: dict[str, float] = defaultdict(float)
    begun = ended = since = None
    for event in history.events:
        match event:
            case TrialStarted(trial=trial) if trial == number:
                begun, since = begun or event.time, event.time
            case WorkerReady(trial=trial) if trial == number and since:
                seconds["starting"] += event.time - since
            case EpochReported(trial=trial) if trial == number:
                for name, amount in event.seconds.items():
                    seconds[name] += amount
            case TrialEnded(trial=trial) if trial == number:
                ended = event.time
    whole = {name: round(value, 3) for name, value in seconds.items()}
    return {"begun": begun, "ended": ended, "seconds": whole | {"all": round(history.trials[number].seconds, 3)}}


def draw_page(page: dict[str, Any], console: Console) -> None:
    """Prints what `trial_page` returned."""
    for label, text in _head(page):
        console.print(Text.assemble((f"{label:<12}", "bold"), text), soft_wrap=True)
    if page["difference"]:
        table = _table("key", "base", "this trial")
        for key, values in page["difference"].items():
            table.add_row(key, *("" if one is None else json.dumps(one) for one in values.values()))
        console.print("\ndifference from the base", style="bold")
        console.print(table)
    if page["curve"]:
        console.print("\ncurve", style="bold")
        table = _table(*_METRICS)
        for row in page["curve"]:
            table.add_row(
                *(f"{row[name]:.4f}" if isinstance(row[name], float) else str(row[name]) for name in _METRICS)
            )
        console.print(table)
    if page["log_tail"]:
        console.print(f"\nthe end of {page['log']}", style="bold", soft_wrap=True)
        for line in page["log_tail"]:
            console.print(Text(line), soft_wrap=True)
    if page["rerun"]:
        console.print("\nrun it alone", style="bold")
        console.print(Text(page["rerun"]), soft_wrap=True)


def _head(page: dict[str, Any]) -> list[tuple[str, str]]:
    what = " (the base config)" if page["is_reference"] else ""
    what = f" (again {page['confirms']})" if page["confirms"] is not None else what
    state = f"{page['state']} after {page['epochs']} of {page['total_epochs']} epochs"
    lines = [(f"trial {page['trial']}", f"{state}{what}")]
    if page["reason"]:
        lines.append(("reason", page["reason"]))
    if page["best"]:
        metric = page["metric"]
        bars = sparkline([sign(metric) * row[metric] for row in page["curve"]])
        lines.append((metric, f"{page['best'][metric]:.4f} in epoch {page['best']['epoch']}  {bars}"))
    lines += [("promoted", text) for text in page["promotions"]]
    timing = page["timing"]
    if timing["begun"]:
        spent = timing["seconds"]
        parts = [f"{name} {spent[name]:.1f} s" for name in spent if name != "all"]
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timing["begun"]))
        lines.append(
            ("time", f"began {began}, ran {duration(spent['all'])}" + (f": {', '.join(parts)}" if parts else ""))
        )
    lines += [("tried again", f"{page['failures']} times")] if page["failures"] else []
    lines += [("never read", ", ".join(page["unread"]))] if page["unread"] else []
    lines += [("node", page["node"])] if page["node"] else []
    return [*lines, ("folder", page["folder"])]


def _table(*names: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table
