"""Searches as they are recorded, made in a moment: the controller decides, a curve takes the place of trainings."""

import heapq
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from search.engine.controller import Controller
from search.engine.schedulers.scheduler import Decision
from search.folder import SearchFolder
from search.plan import make_plan
from search.record.event_json import to_json
from search.record.events import Event, SearchStarted
from search.record.history import TrialRecord
from search.record.outcomes import Outcome
from search.space.space_file import read_space

BEGUN = 1_800_000_000.0  # when the first search is started, in seconds since 1970
RATE = "MODEL.SOLVER.OPTIMIZER.BASE_LR"

# A trial's value of the metric after an epoch, or how it fails in it.
Curve = Callable[[TrialRecord, int], float | Outcome]


def rising(trial: TrialRecord, epoch: int) -> float:
    """The nearer the rate is to 0.01, the faster it learns; no two trials are alike."""
    distance = abs(trial.params.get(RATE, 0.01) - 0.01) * 10 + trial.number % 7 / 50
    return max(0.0, 1 - distance) * (1 - 0.7**epoch)


def recorded(
    path: Path,
    search: str,
    space: str = f"{RATE}: {{loguniform: [1e-4, 1e-1]}}",
    curve: Curve = rising,
    slots: int = 4,
    seconds: float = 10.0,
    epochs: int = 9,
    stops: Sequence[float] = (),
) -> SearchFolder:
    """Records a search in a folder.

    Args:
        path: of the folder.
        search: the words of `search:`.
        space: what is sampled.
        curve: what trials reach.
        slots: how many trials run at a time.
        seconds: of an epoch.
        epochs: of a whole training.
        stops: seconds after each start at which the driver is killed; the search is resumed a minute later.
    """
    folder = SearchFolder(path)
    path.mkdir(parents=True)
    base, written = path.with_suffix(".base.yaml"), path.with_suffix(".yaml")
    base.write_text(f"MODEL.SOLVER.TOTAL_EPOCHS: {epochs}\n")
    written.write_text(f"base: {base.name}\nsearch: {{{search}}}\nspace: {{{space}}}\n")
    plan = make_plan(read_space(written))
    folder.base.write_text(plan.base_yaml())
    folder.space.write_text(plan.space_yaml())
    events: list[Event] = []
    now = BEGUN
    for stop in (*stops, float("inf")):
        controller = Controller(plan.space, plan.options, epochs, events, plan.start)
        now = _run(controller, events, curve, slots, seconds, now, stop) + 60
    folder.events.write_text("".join(f"{json.dumps(to_json(event))}\n" for event in events))
    return folder


def _run(
    controller: Controller, events: list[Event], curve: Curve, slots: int, seconds: float, begun: float, stop: float
) -> float:
    """Runs a search, or what is left of it, and returns when it has ended or was killed."""
    now = begun

    def record(event: Event) -> None:
        events.append(replace(event, time=now))
        controller.history.add(events[-1])

    started = SearchStarted(options=controller._options.to_yaml(), resources={"cpu": 1, "slots": slots})
    controller.begin(started, slots, record)
    due: list[tuple[float, int]] = []  # when a trial reports next
    ready: set[int] = set()  # trials whose worker process has begun
    while True:
        while not controller.should_stop() and (trial := controller.next_trial()):
            ready.discard(trial.number)
            heapq.heappush(due, (now + 1, trial.number))
        if not due:
            controller.finish()
            return now
        now, number = heapq.heappop(due)
        if now - begun > stop:
            return begun + stop
        trial = controller.history.trials[number]
        if number not in ready:
            ready.add(number)
            controller.worker_ready(number)
        elif not _report(controller, trial, curve, number % slots):
            continue
        heapq.heappush(due, (now + seconds, number))


def _report(controller: Controller, trial: TrialRecord, curve: Curve, pid: int) -> bool:
    """Tells the controller of an epoch, and returns whether the trial goes on."""
    epoch = len(trial.rows) + 1
    value = curve(trial, epoch)
    if isinstance(value, Outcome):
        controller.end(trial.number, value, f"RuntimeError: nothing learned at a rate of {trial.params[RATE]:.4g}")
        return False
    row = {"epoch": epoch, "val_score": value, "val_loss": 1 - value, "macs": 1000, "params": 100 + trial.number}
    row |= {"train_loss": 1 - value, "val_acc": value}
    spent = {"training": 7.0, "evaluation": 2.0, "checkpoint": 0.5, "waiting": 0.1}
    decision = controller.report(trial.number, row, pid, "here", spent)
    if decision == Decision.CONTINUE and epoch == controller._epochs_of(trial):
        controller.end(trial.number, Outcome.FINISHED)
        return False
    return decision == Decision.CONTINUE
