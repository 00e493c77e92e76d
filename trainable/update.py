"""From the losses of batches to new weights."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from timm.utils import ModelEmaV3
from torch import nn
from torch.optim import Optimizer
from yacs.config import CfgNode

from trainable.solver.schedule import Schedule


class TrainingDivergedError(RuntimeError):
    """The numbers are not finite any more; training on would be of no use."""


class WeightUpdate:
    """Accumulates gradients, clips them, skips unusable ones, and moves weights, schedule and average on.

    Args:
        solver_cfg: the MODEL.SOLVER node.
        model: whose weights change.
        optimizer: changes them.
        schedule: of the optimizer's learning rate.
        device: where the model is.

    Attributes:
        rate: learning rate of the last update.
        skipped: number of updates that were skipped so far.
        averaged: the model with the moving average of the weights, None without EMA_DECAY.
    """

    def __init__(
        self, solver_cfg: CfgNode, model: nn.Module, optimizer: Optimizer, schedule: Schedule, device: torch.device
    ):
        self._cfg = solver_cfg
        self._model = model
        self._optimizer = optimizer
        self._schedule = schedule
        self._scaler = torch.amp.GradScaler(device.type, enabled=solver_cfg.AMP == "fp16")
        self._ema = ModelEmaV3(model, solver_cfg.EMA_DECAY, use_warmup=True) if solver_cfg.EMA_DECAY else None
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._usable_buffers: dict[str, torch.Tensor] = {}
        self._in_a_row = 0
        self._updates = 0
        self._loss_sum = torch.zeros((), device=device)
        self.rate = 0.0
        self.skipped = 0

    def use(self, solver_cfg: CfgNode) -> None:
        """Goes on with other values of the keys that may change in a model that is trained."""
        self._cfg = solver_cfg

    @property
    def averaged(self) -> nn.Module | None:
        """The model that is evaluated instead of the one in training."""
        return None if self._ema is None else self._ema.module

    def start_epoch(self) -> None:
        """Remembers the statistics of batch norms, in case a batch spoils them."""
        self._usable_buffers = {
            name: buffer.clone() for name, buffer in self._model.named_buffers() if buffer.is_floating_point()
        }

    def add(self, loss: torch.Tensor, step: int, steps: int) -> None:
        """Adds the gradient of a batch's loss, and updates the weights if enough batches have come together.

        Args:
            loss: a scalar.
            step: of the epoch, counted from 0.
            steps: of the epoch.

        Raises:
            TrainingDivergedError: more than MAX_SKIPPED_STEPS updates in a row had to be skipped.
        """
        every = self._cfg.ACCUMULATION_STEPS
        first = step - step % every
        if step == first:
            self._optimizer.zero_grad()
            self._loss_sum = torch.zeros_like(self._loss_sum)
        self._loss_sum += loss.detach()
        self._scaler.scale(loss / min(every, steps - first)).backward()
        if step + 1 == min(first + every, steps):
            self._update()

    def _update(self) -> None:
        self._scaler.unscale_(self._optimizer)
        gradients = [parameter.grad for parameter in self._parameters if parameter.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        is_usable = bool((norm + self._loss_sum).isfinite())  # one question, since a GPU has to stop for the answer
        if is_usable:
            if self._cfg.CLIP_GRAD_NORM:
                nn.utils.clip_grads_with_norm_(self._parameters, self._cfg.CLIP_GRAD_NORM, norm)
            self._scaler.step(self._optimizer)
            self._in_a_row = 0
        else:
            self._skip()
        self._scaler.update()
        self.rate = self._optimizer.param_groups[0]["lr"]
        with warnings.catch_warnings():
            if self.skipped:  # torch thinks that an optimizer which has not stepped yet was forgotten
                warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step", category=UserWarning)
            self._schedule.after_update()
        self._updates += 1
        if self._ema is not None:
            self._ema.update(self._model, step=self._updates)

    def _skip(self) -> None:
        self.skipped += 1
        self._in_a_row += 1
        for name, buffer in self._model.named_buffers():
            if buffer.is_floating_point() and not buffer.isfinite().all():
                buffer.copy_(self._usable_buffers[name])
        if self._in_a_row > self._cfg.MAX_SKIPPED_STEPS:
            raise TrainingDivergedError(
                f"loss or gradient was not finite in {self._in_a_row} steps in a row "
                "(MODEL.SOLVER.MAX_SKIPPED_STEPS); a lower MODEL.SOLVER.OPTIMIZER.BASE_LR or "
                "MODEL.SOLVER.CLIP_GRAD_NORM usually helps"
            )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
            "ema": {} if self._ema is None else self._ema.module.state_dict(),
            "updates": self._updates,
            "skipped": [self.skipped, self._in_a_row],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])
        if self._ema is not None:
            self._ema.module.load_state_dict(state["ema"])
        self._updates = state["updates"]
        self.skipped, self._in_a_row = state["skipped"]
