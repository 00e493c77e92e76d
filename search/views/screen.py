"""The live view of a search, as a picture of text that fits a terminal."""

from collections import Counter
from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from configs.files import shown_path
from configs.metric_names import sign
from search.analysis import FoundSearch
from search.record.events import Event
from search.record.history import TrialRecord
from search.record.outcomes import ENDED, State
from search.views.describe import clock, describe, duration
from search.views.pace import Left, Pace, what_is_left

_BARS, _ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
_CURVE = 16  # characters of a learning curve at most
_FAILURES = 2  # that are shown
_WORDS = {State.WAITING: "wait", State.STOPPED: "stopped early"}  # where there are several
_FINISHED = (State.DONE, State.WAITING, State.STOPPED, State.STOPPED_BY_USER, State.FAILED, State.INTERRUPTED)


class Screen:
    """Draws the state of a search.

    Args:
        found: the search.
        machine: describes the machine in a line; None: that is left out.
        is_ascii: whether the terminal shows nothing but ASCII.
    """

    def __init__(
        self,
        found: FoundSearch,
        machine: Callable[[], str] | None = None,
        is_ascii: bool = False,
    ):
        plan = found.plan
        self._plan, self._history, self._folder = plan, found.history, found.folder
        self._rungs = plan.rungs
        self._machine = machine
        self._bars = _ASCII_BARS if is_ascii else _BARS
        self.pace = Pace()
        for event in found.history.events:
            self.pace.add(event)

    def add(self, event: Event) -> None:
        """Takes note of an event that the history has taken in."""
        self.pace.add(event)

    def draw(self, now: float, height: int) -> RenderableType:
        """Returns the picture.

        Args:
            now: seconds since 1970.
            height: lines that there are; trials that run are left out where there are more.
        """
        rows = Table.grid(padding=(0, 2), expand=True)
        rows.add_column(no_wrap=True, min_width=7, style="bold")
        rows.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for label, text in (*self._trials(), *self._compared(), *self._failed(), *self._of_machine()):
            rows.add_row(label, Text(text))
        running = self._history.running()
        room = max(1, height - rows.row_count - 2)
        shown = running if len(running) <= room else running[: room - 1]
        for position, record in enumerate(shown):
            rows.add_row("running" if not position else "", Text(self._running(record, now)))
        if len(shown) < len(running):
            rows.add_row("", f"and {len(running) - len(shown)} more")
        return Group(self._budget(now), rows)

    def _budget(self, now: float) -> RenderableType:
        left = what_is_left(self._plan, self._history, self.pace, self._rungs, now)
        total = left.done + left.epochs
        share = left.done / total if total else 0.0
        budget = self._plan.options.time_budget
        if left.is_budget and budget:  # the clock ends it
            share = 1 - (left.seconds or 0.0) / budget
        title = f"{self._folder.path.name}  {clock(now - self.pace.begun)}"
        words = f"{share:4.0%}  {self._time_left(left)}"
        line = Table.grid(padding=(0, 2), expand=True)
        for ratio in (None, 1, None):
            line.add_column(no_wrap=True, ratio=ratio)
        line.add_row(Text(title, style="bold"), ProgressBar(total=1.0, completed=min(share, 1.0)), Text(words))
        return line

    def _time_left(self, left: Left) -> str:
        if left.seconds is None:
            return "time left: not known yet"
        if left.is_budget and self.pace.seconds_per_epoch is None:
            return f"time left: not known yet, at most {duration(left.seconds)}"
        stop = self._plan.options.stop
        may_end_before = left.is_budget or stop.target is not None or stop.patience is not None
        return f"{'at most' if may_end_before else 'about'} {duration(left.seconds)} left"

    def _trials(self) -> list[tuple[str, str]]:
        """Says how many trials there are in each state, and at which rungs they wait."""
        records = self._history.samples()
        count = Counter(record.state for record in records)
        waiting = Counter(len(record.rows) for record in records if record.state == State.WAITING)
        parts = [f"{count[State.RUNNING]} running"]
        parts += [f"{count[state]} {_WORDS.get(state, state.value)}" for state in _FINISHED if count[state]]
        samples = f"{self._history.number_of_samples} of {self._plan.options.num_samples} sampled"
        lines = [("trials", f"{samples}: {', '.join(parts)}")]
        if waiting:
            lines.append(("waiting", ", ".join(f"{waiting[epoch]} at epoch {epoch}" for epoch in sorted(waiting))))
        return [*lines, *self._repeats()]

    def _repeats(self) -> list[tuple[str, str]]:
        """Says how far the repeats of the best are, when they have begun."""
        made = [record for record in self._history.trials.values() if record.confirms is not None]
        repeats = self._plan.options.repeats
        if not made or repeats is None:
            return []
        ended = sum(record.state in ENDED for record in made)
        whole = self._plan.options.number_of_repeats
        best = "the best" if repeats.top == 1 else f"the best {repeats.top}"
        base = " and the base config" if self._plan.options.reference else ""
        return [("confirm", f"{ended} of {whole} done: {best}{base}, {repeats.seeds} other seeds each")]

    def _compared(self) -> list[tuple[str, str]]:
        """Says what the base has and what the best so far."""
        metric = self._plan.options.metric
        base, best = self._history.reference(), self._history.best_trial(metric)
        lines = []
        of_base = base.best(metric) if base else None
        if base and of_base:
            lines.append(("base", f"{_value(metric, of_base)}  {self._curve(base)}{_so_far(base)}"))
        elif base:
            lines.append(("base", str(base.state)))
        if best is None or best is base:
            if best:
                lines.append(("best", "the base config; no trial is better so far"))
            return lines
        row = best.best(metric) or {}
        than_base = ""
        if base and of_base and base.state == State.DONE:
            margin = sign(metric) * (row[metric] - of_base[metric])
            than_base = f"{margin:.4f} better than the base: "
        lines.append(("best", f"{_value(metric, row)}  {self._curve(best)}  trial {best.number}"))
        lines.append(("", f"{than_base}{describe(best.params_at(row['epoch']))}"))
        return lines

    def _running(self, record: TrialRecord, now: float) -> str:
        total, trained = self._plan.total_epochs(record.settings), len(record.rows)
        which = f"trial {record.number:>3}"
        if self.pace.is_starting(record.number):
            return f"{which}  {trained}/{total}  waits for its worker process"
        what = f" {record.role}" if record.role else ""
        epoch = f"epoch {min(trained + 1, total)}/{total}"
        if not record.rows:
            return f"{which}  {epoch}{what}  {describe(record.params)}"
        last = _value(self._plan.options.metric, record.rows[-1], with_epoch=False)
        return f"{which}  {epoch}  {last}  {self._curve(record)}{what}  {describe(record.params)}"

    def _failed(self) -> list[tuple[str, str]]:
        """Says why the last ones failed, and where more stands."""
        failed = sorted(self._history.in_state(State.FAILED), key=lambda record: -record.end_order)
        lines: list[tuple[str, str]] = []
        for record in failed[:_FAILURES]:
            lines.append(("failed" if not lines else "", f"trial {record.number:>3}  {record.reason}"))
            lines.append(("", f"           log: {shown_path(self._folder.trial(record.name).log)}"))
        if len(failed) > _FAILURES:
            where = f"python -m search.show {shown_path(self._folder.path)} --where state=failed"
            lines.append(("", f"and {len(failed) - _FAILURES} before: {where}"))
        return lines

    def _of_machine(self) -> list[tuple[str, str]]:
        return [("machine", self._machine())] if self._machine else []

    def _curve(self, record: TrialRecord) -> str:
        """Returns the metric of a trial's epochs as a row of bars; low is bad."""
        metric = self._plan.options.metric
        return sparkline([sign(metric) * row[metric] for row in record.rows], self._bars)


def sparkline(values: list[float], bars: str = _BARS, width: int = _CURVE) -> str:
    """Returns values as a row of bars between the lowest and the highest; of many, evenly chosen ones and the last."""
    if len(values) > width:
        values = [values[round(position * (len(values) - 1) / (width - 1))] for position in range(width)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high <= low:
        return bars[0] * len(values)
    return "".join(bars[round((value - low) / (high - low) * (len(bars) - 1))] for value in values)


def _value(metric: str, row: dict[str, float], with_epoch: bool = True) -> str:
    return f"{metric} {row[metric]:.4f}" + (f" in epoch {row['epoch']}" if with_epoch else "")


def _so_far(record: TrialRecord) -> str:
    return "  so far" if record.state == State.RUNNING else ""
