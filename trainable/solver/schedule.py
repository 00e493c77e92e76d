"""Learning-rate schedules by name."""

import math
from typing import Any

from torch.optim import Optimizer, lr_scheduler
from yacs.config import CfgNode

from trainable.solver.registry import SCHEDULE_REGISTRY


class Schedule:
    """A torch scheduler and when it steps.

    Args:
        scheduler: any torch scheduler, or None for a rate that never changes.
        each: "update" steps it after each update of the weights, "epoch" after each epoch.
    """

    def __init__(self, scheduler: Any = None, each: str = "epoch"):
        self._scheduler = scheduler
        self._each = each

    def after_update(self) -> None:
        """To be called after each update of the weights."""
        if self._scheduler is not None and self._each == "update":
            self._scheduler.step()

    def after_epoch(self, val_loss: float) -> None:
        """To be called after each epoch, with its validation loss."""
        if isinstance(self._scheduler, lr_scheduler.ReduceLROnPlateau):
            self._scheduler.step(val_loss)
        elif self._scheduler is not None and self._each == "epoch":
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the schedule."""
        return {} if self._scheduler is None else self._scheduler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state)


@SCHEDULE_REGISTRY.register("unchange")
def build_unchange(scheduler_cfg: CfgNode, optimizer: Optimizer, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rate stays as it is."""
    return Schedule()


@SCHEDULE_REGISTRY.register("multi_steps")
def build_multi_steps(scheduler_cfg: CfgNode, optimizer: Optimizer, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rate is multiplied by GAMMA after each of MILESTONES, in epochs."""
    steps = scheduler_cfg.MULTI_STEPS
    return Schedule(lr_scheduler.MultiStepLR(optimizer, list(steps.MILESTONES), steps.GAMMA))


@SCHEDULE_REGISTRY.register("reduce_on_plateau")
def build_reduce_on_plateau(
    scheduler_cfg: CfgNode, optimizer: Optimizer, epochs: int, steps_per_epoch: int
) -> Schedule:
    """The rate is multiplied by FACTOR when the validation loss has not fallen for PATIENCE epochs."""
    plateau = scheduler_cfg.PLATEAU
    return Schedule(
        lr_scheduler.ReduceLROnPlateau(
            optimizer,
            factor=plateau.FACTOR,
            patience=plateau.PATIENCE,
            min_lr=[scheduler_cfg.MIN_LR * factor for factor in rate_factors(optimizer)],
        )
    )


@SCHEDULE_REGISTRY.register("OneCycleLR")
def build_one_cycle(scheduler_cfg: CfgNode, optimizer: Optimizer, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rate rises to its peak and falls to almost nothing (Smith and Topin 2018)."""
    cycle = scheduler_cfg.ONE_CYCLE
    base = optimizer.param_groups[0]["lr"]
    scheduler = lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[(scheduler_cfg.MAX_LR or base) * factor for factor in rate_factors(optimizer)],
        total_steps=epochs * steps_per_epoch + 1,  # torch counts the start as a step
        pct_start=cycle.PCT_START,
        div_factor=cycle.DIV_FACTOR,
        final_div_factor=cycle.FINAL_DIV_FACTOR,
        cycle_momentum=False,
    )
    return Schedule(scheduler, each="update")


@SCHEDULE_REGISTRY.register("cosine")
def build_cosine(scheduler_cfg: CfgNode, optimizer: Optimizer, epochs: int, steps_per_epoch: int) -> Schedule:
    """The rate rises for WARMUP_EPOCHS, then falls to MIN_LR along half a cosine (Loshchilov and Hutter 2017)."""
    total = epochs * steps_per_epoch
    warmup = round(scheduler_cfg.WARMUP_EPOCHS * steps_per_epoch)
    lowest = scheduler_cfg.MIN_LR / optimizer.param_groups[0]["lr"]

    def factor(update: int) -> float:
        if update < warmup:
            return (update + 1) / (warmup + 1)
        progress = min((update - warmup) / max(total - warmup, 1), 1.0)
        return lowest + (1 - lowest) * (1 + math.cos(math.pi * progress)) / 2

    return Schedule(lr_scheduler.LambdaLR(optimizer, factor), each="update")


def rate_factors(optimizer: Optimizer) -> list[float]:
    """Returns how the rate of each group of parameters relates to that of the first."""
    return [group["lr"] / optimizer.param_groups[0]["lr"] for group in optimizer.param_groups]


def build_schedule(scheduler_cfg: CfgNode, optimizer: Optimizer, epochs: int, steps_per_epoch: int) -> Schedule:
    """Builds the schedule that MODEL.SOLVER.SCHEDULER.NAME names.

    Args:
        scheduler_cfg: the MODEL.SOLVER.SCHEDULER node.
        optimizer: whose rate is scheduled; BASE_LR is its rate now.
        epochs: of a full training; a trial that is stopped early has followed the start of this course.
        steps_per_epoch: updates of the weights an epoch.
    """
    return SCHEDULE_REGISTRY[scheduler_cfg.NAME](scheduler_cfg, optimizer, epochs, steps_per_epoch)
