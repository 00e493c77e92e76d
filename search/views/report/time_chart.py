"""What the workers did when."""

from dataclasses import dataclass, field

from search.analysis import FoundSearch
from search.record.events import EpochReported, SearchEnded, SearchStarted, TrialEnded, TrialStarted, WorkerReady
from search.views.report.chart import Chart, css_of
from search.views.report.svg import Drawing, Scale

MOST_SEGMENTS = 6_000  # of the picture; where there are more, trials are drawn without their parts
PARTS = ("starting", "training", "evaluation", "checkpoint", "waiting")


@dataclass
class _Run:
    """A stretch of time in which a trial had a slot."""

    trial: int
    begun: float
    ended: float
    ready: float | None = None
    epochs: list[tuple[float, dict[str, float]]] = field(default_factory=list)


def timeline_chart(found: FoundSearch) -> Chart | None:
    """What each slot did when."""
    runs = _runs(found)
    if not runs:
        return None
    first, last = min(run.begun for run in runs), max(run.ended for run in runs)
    lanes: list[float] = []
    drawing = Drawing()
    x = Scale(0.0, max(last - first, 1e-9), *drawing.x)
    placed: list[tuple[int, _Run]] = []
    for run in sorted(runs, key=lambda run: run.begun):
        lane = next((number for number, free in enumerate(lanes) if free <= run.begun + 1e-6), len(lanes))
        if lane == len(lanes):
            lanes.append(run.ended)
        lanes[lane] = run.ended
        placed.append((lane, run))
    high = max(6.0, min(26.0, 420 / len(lanes)))
    drawing.height = int(high * len(lanes)) + 60
    spent = dict.fromkeys((*PARTS, "other"), 0.0)
    has_parts = sum(len(run.epochs) for run in runs) * 3 <= MOST_SEGMENTS
    for lane, run in placed:
        top = drawing.y[1] + lane * high + 1
        record = found.history.trials[run.trial]
        left = x.at(run.begun - first)
        width = max(0.5, x.at(run.ended - first) - left)
        drawing.box(left, top, width, high - 2, f"{css_of(record)} run", run.trial)
        spent["other"] += run.ended - run.begun
        for part, begun, ended in _parts(run):
            spent[part] += ended - begun
            spent["other"] -= ended - begun
            if has_parts and ended - begun > 0:
                left = x.at(begun - first)
                drawing.box(left, top, x.at(ended - first) - left, high - 2, f"part p-{part}", run.trial)
    drawing.axis_x(x, "seconds since the search began")
    room = (last - first) * len(lanes)
    spent["idle"] = max(0.0, room - sum(run.ended - run.begun for run in runs))
    rows = [(part, f"{seconds:.0f} s", f"{seconds / room:.0%}" if room else "") for part, seconds in spent.items()]
    legend = {f"p-{part}": part for part in (*PARTS, "other")} if has_parts else {}
    caption = "Each row is a slot, each box a trial. Colours say what its time went to; what is empty was idle."
    return Chart(
        "timeline", "What the workers did", caption, drawing, ("part", "seconds", "of all slots' time"), rows, legend
    )


def _runs(found: FoundSearch) -> list[_Run]:
    runs: list[_Run] = []
    going: dict[int, _Run] = {}
    for event in found.history.events:
        match event:
            case TrialStarted():
                going[event.trial] = _Run(event.trial, event.time, event.time)
                runs.append(going[event.trial])
            case WorkerReady() if event.trial in going:
                going[event.trial].ready = going[event.trial].ended = event.time
            case EpochReported() if event.trial in going:
                going[event.trial].epochs.append((event.time, event.seconds))
                going[event.trial].ended = event.time
            case TrialEnded() if event.trial in going:
                going.pop(event.trial).ended = event.time
            case SearchStarted() | SearchEnded():
                going.clear()
    return runs


def _parts(run: _Run) -> list[tuple[str, float, float]]:
    """Returns what the time of a run went to, each part with its begin and end."""
    parts = [("starting", run.begun, run.ready)] if run.ready is not None else []
    earliest = run.ready if run.ready is not None else run.begun
    for reported, seconds in run.epochs:
        end = reported
        for part in ("checkpoint", "evaluation", "training", "waiting"):
            begin = max(earliest, end - seconds.get(part, 0.0))
            parts.append((part, begin, end))
            end = begin
        earliest = reported
    return parts
