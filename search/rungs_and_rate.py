"""Where rungs stand in the course of the learning rate: what trials score at its peak says little of their end."""

import torch

from configs.errors import ConfigError
from search.engine.schedulers.scheduler import build_scheduler
from search.plan import SearchPlan
from trainable.solver.schedule import build_schedule

STEPS = 20  # updates of the weights in an epoch, to see the course of the rate
NEAR = 0.8  # of the peak
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 72  # columns


def rungs_of(plan: SearchPlan) -> list[int]:
    """Returns the epochs after which trials wait; none where the scheduler has no rungs."""
    return [*build_scheduler(plan.options, plan.space, plan.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS).rungs]


def note_on_peak(plan: SearchPlan) -> str | None:
    """Returns a note on the rungs at the peak of a rate that rises and falls, None if there are none."""
    rates = _rates(plan)
    peak = max(rates, default=0.0)
    if not rates or peak in (rates[0], rates[-1]):  # it does not both rise and fall
        return None
    at_peak = [str(epoch) for epoch in rungs_of(plan) if rates[epoch * STEPS] >= NEAR * peak]
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
    rungs = rungs_of(plan)
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
