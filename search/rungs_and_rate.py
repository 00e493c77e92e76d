"""Where rungs stand in the course of the learning rate: what trials score near its peak says little of their end.

docs/search_quality.md has the figures: in short trainings, ranks after the first epoch say something of the ranks at
the end, those while the rate is high next to nothing, and those after it has fallen much.
"""

from dataclasses import replace

import torch

from configs.errors import ConfigError
from search.plan import SearchPlan
from trainable.solver.schedule import build_schedule

STEPS = 20  # updates of the weights in an epoch, to see the course of the rate
NEAR = 0.8  # of the peak
SHORT = 16  # epochs of a training in which ranks at a high rate say little; longer ones were measured to differ
FALLEN = 0.15  # of the peak, from which on ranks are nearly those of the end
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 72  # columns


def with_rungs(plan: SearchPlan) -> SearchPlan:
    """Returns a plan with its rungs placed by the schedule of the base, where the space file does not place them.

    In short trainings whose rate falls, rungs behind the first one move to where it has fallen. A search that is
    resumed with the scheduler that it had keeps its rungs.
    """
    options = plan.options
    is_kept = plan.earlier is not None and plan.earlier.scheduler == options.scheduler
    if not options.has_rungs or "rungs" in options.scheduler.options or is_kept:
        return plan
    before = [*plan.rungs]
    placed = _behind_the_fall(before, _rates(plan)[::STEPS])
    if placed == before:
        return plan
    scheduler = replace(options.scheduler, options={**options.scheduler.options, "rungs": tuple(placed)})
    return replace(plan, options=replace(options, scheduler=scheduler))


def _behind_the_fall(rungs: list[int], rates: list[float]) -> list[int]:
    """Returns rungs, those behind the first one moved to where the rate has fallen, if it does.

    Args:
        rungs: epochs, ascending.
        rates: learning rate before the first epoch, and after each; none: it is not known.
    """
    if len(rates) - 1 > SHORT or len(rungs) < 2:
        return rungs
    peak = max(rates, default=0.0)
    fallen = [epoch for epoch in range(rungs[0] + 1, len(rates) - 1) if max(rates[epoch:]) <= FALLEN * peak]
    if not fallen:
        return rungs
    return list(dict.fromkeys([rungs[0], *(max(epoch, fallen[0]) for epoch in rungs[1:])]))


def note_on_peak(plan: SearchPlan) -> str | None:
    """Returns a note on the rungs at the peak of a rate that rises and falls, None if there are none."""
    rates = _rates(plan)
    peak = max(rates, default=0.0)
    if not rates or peak in (rates[0], rates[-1]):  # it does not both rise and fall
        return None
    # after epoch 1 the first rung stands by default, which was best in the mean (docs/search_quality.md)
    at_peak = [str(epoch) for epoch in plan.rungs if epoch > 1 and rates[epoch * STEPS] >= NEAR * peak]
    if not at_peak:
        return None
    name, rungs = plan.base_cfg.MODEL.SOLVER.SCHEDULER.NAME, "rungs" if len(at_peak) > 1 else "rung"
    return (
        f"{rungs} at epoch {', '.join(at_peak)}: the learning rate is near its peak there "
        f"({name}), and scores may say little about the final result; another grace_period moves the rungs "
        "(--dry-run draws them)"
    )


def draw(plan: SearchPlan) -> list[str]:
    """Returns lines that show the rungs under the learning rate of the base; none without rungs."""
    rungs = [*plan.rungs]
    if not rungs:
        return []
    epochs = plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
    lines = [f"rungs: trials are compared after epochs {rungs} of {epochs}"]
    rates = _rates(plan)
    if rates and max(rates) > 0:
        columns = min(epochs, WIDTH)
        ends = [round((column + 1) / columns * (len(rates) - 1)) for column in range(columns)]  # a column's last update
        heights = [min(int(rates[end] / max(rates) * len(BARS)), len(BARS) - 1) for end in ends]
        marked = {max(1, round(epoch / epochs * columns)) for epoch in rungs}
        marks = "".join("^" if column in marked else " " for column in range(1, columns + 1))
        lines += [f"learning rate  {''.join(BARS[height] for height in heights)}", f"rungs          {marks}".rstrip()]
    return lines


def _rates(plan: SearchPlan) -> list[float]:
    """Returns the learning rate of the base before each update, and after the last; none if it cannot be built."""
    solver = plan.base_cfg.MODEL.SOLVER
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=solver.OPTIMIZER.BASE_LR)
    try:
        schedule = build_schedule(solver.SCHEDULER, optimizer, solver.TOTAL_EPOCHS, STEPS)
    except (ConfigError, ValueError):  # it fits the samples alone, and theirs were tried
        return []
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(solver.TOTAL_EPOCHS):
        for _ in range(STEPS):
            optimizer.step()
            schedule.after_update()
            rates.append(optimizer.param_groups[0]["lr"])
        schedule.after_epoch(val_loss=0.0)
        rates[-1] = optimizer.param_groups[0]["lr"]
    return rates
