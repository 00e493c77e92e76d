"""A model in training, epoch by epoch."""

import time
from collections.abc import Callable
from typing import Any

import torch
from yacs.config import CfgNode

from configs.dump import dump_cfg
from configs.errors import ConfigError
from data.image_data import ImageData
from data.loader import Loader, to_model_input
from data.mixing import Mixing
from trainable.evaluation.metrics import ClassificationMetrics
from trainable.meta_arch.build import build_model
from trainable.process_state import rng_state, set_rng_state
from trainable.solver.loss import build_loss
from trainable.solver.optimizer import build_optimizer
from trainable.solver.schedule import build_schedule

AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Metrics = dict[str, Any]  # names as in configs/metric_names.py
OnStep = Callable[[int, int, int], None]  # gets epoch, step and steps of the epoch


class Training:
    """A model in training: everything that changes from epoch to epoch, and how an epoch goes.

    Attributes:
        epoch: the number of epochs trained so far.
        metrics: of each of them.
        resolved_cfg: the config with derived values filled in.
    """

    def __init__(self, cfg: CfgNode, data: ImageData, device: torch.device):
        self.cfg = cfg
        self.data = data
        self.device = device
        self.epoch = 0
        self.metrics: list[Metrics] = []
        model, self.resolved_cfg = build_model(cfg, data.class_counts)
        self.model = model.to(device)
        self.loader = Loader(data, cfg.DATASET, cfg.SEED)
        self.mixing = Mixing(cfg.DATASET.AUGMENTATION, cfg.SEED)
        solver = cfg.MODEL.SOLVER
        self.loss = build_loss(solver.LOSS)
        self.optimizer = build_optimizer(solver.OPTIMIZER, self.model.parameters())
        self.schedule = build_schedule(
            solver.SCHEDULER, self.optimizer, solver.TOTAL_EPOCHS, self.loader.steps_per_epoch
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=solver.AMP == "fp16")

    def run_epoch(self, on_step: OnStep) -> Metrics:
        """Trains and evaluates one epoch and returns its metrics."""
        start = time.perf_counter()
        self.epoch += 1
        train, rate = self._train(on_step)
        val = self._evaluate()
        self.schedule.after_epoch(val["loss"])
        row: Metrics = {"epoch": self.epoch, "lr": rate}
        row |= {f"train_{name}": value for name, value in train.items()}
        row |= {f"val_{name}": value for name, value in val.items()}
        row["seconds"] = time.perf_counter() - start
        self.metrics.append(row)
        return row

    def try_step(self) -> None:
        """Runs one small augmented batch forth and back; the weights stay as they are."""
        self.model.train()
        self.loss.train()
        images, labels = self.loader.sample(size=min(2, self.cfg.DATASET.BATCH_SIZE))
        inputs, partners, own_weight = self.mixing(to_model_input(images, self.cfg.DATASET, self.device), 1, 0)
        with self._autocast():
            logits = self.model(inputs)
        _check_outputs(logits, (len(images), self.data.class_counts), self.cfg.MODEL.HEAD.NAME)
        self.loss(logits, labels.to(self.device), partners, own_weight).backward()

    def _train(self, on_step: OnStep) -> tuple[dict[str, float], float]:
        self.model.train()
        self.loss.train()
        results = []
        rate = 0.0
        for step, (images, labels) in enumerate(self.loader.train_batches(self.epoch)):
            labels = labels.to(self.device)
            inputs = to_model_input(images, self.cfg.DATASET, self.device)
            inputs, partners, own_weight = self.mixing(inputs, self.epoch, step)
            with self._autocast():
                logits = self.model(inputs)
            loss = self.loss(logits, labels, partners, own_weight)
            self.optimizer.zero_grad()
            self.scaler.scale(loss).backward()
            rate = self.optimizer.param_groups[0]["lr"]
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.after_update()
            results.append((_predictions(logits), labels, loss.detach()))
            on_step(self.epoch, step + 1, self.loader.steps_per_epoch)
        return self._summary(results), rate

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        self.model.eval()
        self.loss.eval()
        results = []
        for images, labels in self.loader.val_batches():
            labels = labels.to(self.device)
            with self._autocast():
                logits = self.model(to_model_input(images, self.cfg.DATASET, self.device))
            results.append((_predictions(logits), labels, self.loss(logits, labels)))
        return self._summary(results)

    def _autocast(self) -> torch.autocast:
        amp = self.cfg.MODEL.SOLVER.AMP
        return torch.autocast(self.device.type, AMP_TYPES.get(amp, torch.bfloat16), enabled=amp != "none")

    def _summary(self, results: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> dict[str, float]:
        # Results stay on the device until here: a copy in every step would make the GPU wait.
        metrics = ClassificationMetrics(self.data.class_counts, self.data.task_weights)
        for predictions, labels, loss in results:
            metrics.add(predictions.cpu().numpy(), labels.cpu().numpy(), loss.item())
        return metrics.summary()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds, to go on from or to predict with."""
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": rng_state(),
            "config": dump_cfg(self.cfg, self.resolved_cfg),
            "classes": {task: list(names) for task, names in self.data.classes.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch = state["epoch"]
        self.metrics = state["metrics"]
        set_rng_state(state["rng"])


def _check_outputs(logits: Any, expected: tuple[int, tuple[int, ...]], head: str) -> None:
    batch, class_counts = expected
    shapes = [tuple(one.shape) for one in logits] if isinstance(logits, (list, tuple)) else None
    if shapes != [(batch, count) for count in class_counts]:
        found = f"a list with shapes {shapes}" if shapes is not None else f"a {type(logits).__name__}"
        raise ConfigError(
            f"MODEL.HEAD.NAME: {head} must return a list of logits, one tensor (batch, classes) a task, here of "
            f"{', '.join(str(count) for count in class_counts)} classes; it returned {found}"
        )


def _predictions(logits: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([one.detach().argmax(dim=1) for one in logits], dim=1)
