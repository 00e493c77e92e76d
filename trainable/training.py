"""A model in training, epoch by epoch."""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from yacs.config import CfgNode

from configs.defaults import DERIVED
from configs.dump import dump_cfg
from configs.errors import ConfigError
from configs.loader import settings_at, with_values
from configs.tree import get_value
from configs.user_modules import code_checksums
from data.image_data import DataError, ImageData
from data.loader import Loader, to_model_input
from data.mixing import Mixing
from data.task_fit import check_task_fit
from trainable.backbone.freezing import set_training
from trainable.evaluation.cost import model_cost
from trainable.evaluation.metrics import ClassificationMetrics
from trainable.meta_arch.build import build_model
from trainable.precision import autocast
from trainable.process_state import rng_state, set_rng_state
from trainable.solver.loss import build_loss
from trainable.solver.optimizer import build_optimizer, parameter_groups
from trainable.solver.schedule import build_schedule
from trainable.stopwatch import EVALUATION, TRAINING, Stopwatch
from trainable.update import WeightUpdate

Metrics = dict[str, Any]  # names as in configs/metric_names.py
OnStep = Callable[[int, int, int], None]  # gets epoch, step and steps of the epoch
Result = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # predictions, labels and loss of a batch
Results = list[Result]


class Training:
    """A model in training: everything that changes from epoch to epoch, and how an epoch goes.

    Args:
        cfg: the config.
        data: what is trained and validated on.
        device: where.
        stopwatch: measures what the time of an epoch goes to.

    Attributes:
        epoch: the number of epochs trained so far.
        metrics: of each of them.
        task_metrics: of each epoch and task: epoch, task, acc and recall on the validation images.
        evaluation: the validation images of the last epoch by label and prediction; None before the first.
        resolved_cfg: the config with derived values filled in.
        cost: of the model, see evaluation/cost.py.
    """

    def __init__(self, cfg: CfgNode, data: ImageData, device: torch.device, stopwatch: Stopwatch | None = None):
        self.cfg = cfg  # its own values, which the epochs of a lineage do not have yet
        self.data = data
        self.device = device
        self._stopwatch = stopwatch or Stopwatch()
        self.epoch = 0
        self.metrics: list[Metrics] = []
        self.task_metrics: list[dict[str, Any]] = []
        self.evaluation: ClassificationMetrics | None = None
        self._code = code_checksums(cfg.USER_MODULES)  # as it was imported, whatever is edited meanwhile
        self._task_weights = tuple(cfg.EVALUATION.TASK_WEIGHTS or data.task_weights)
        check_task_fit(cfg, data)
        solver = cfg.MODEL.SOLVER
        model, self.resolved_cfg = build_model(cfg, data.classes)
        self._memory_format = torch.channels_last if solver.CHANNELS_LAST else torch.contiguous_format
        self.model = model.to(device).to(memory_format=self._memory_format)
        channels = 3 if cfg.DATASET.TO_RGB else 1
        self.cost = model_cost(self.model, torch.zeros(1, channels, *cfg.DATASET.RESIZE_SHAPE, device=device))
        self._changed = settings_at(cfg, epoch=1)
        now = self._build_changeable()
        self.optimizer = build_optimizer(now.MODEL.SOLVER.OPTIMIZER, self._groups(now))
        updates_per_epoch = -(-self.loader.steps_per_epoch // solver.ACCUMULATION_STEPS)
        self.schedule = build_schedule(solver.SCHEDULER, self.optimizer, solver.TOTAL_EPOCHS, updates_per_epoch)
        self.update = WeightUpdate(now.MODEL.SOLVER, self.model, self.optimizer, self.schedule, device)
        if solver.COMPILE:
            self.model.compile()

    def _build_changeable(self) -> CfgNode:
        """Builds what has no state of its own, so that it may be built anew between two epochs.

        Returns:
            The config with the values that count now.
        """
        cfg = with_values(self.cfg, self._changed)
        loss_cfg = cfg.MODEL.SOLVER.LOSS
        self.loader = Loader(self.data, cfg.DATASET, cfg.SEED, with_views=loss_cfg.JSD_WEIGHT > 0)
        self.mixing = Mixing(cfg.DATASET.AUGMENTATION, cfg.SEED)
        self.loss = build_loss(loss_cfg, self.data.classes, self.data.labels[self.data.train_indices]).to(self.device)
        return cfg

    def _groups(self, cfg: CfgNode) -> list[dict[str, Any]]:
        return parameter_groups(self.model, cfg.MODEL.SOLVER.OPTIMIZER)

    def _take_up(self, epoch: int) -> CfgNode | None:
        """Uses the values of an epoch and returns the config with them, None if they are in use already."""
        changed = settings_at(self.cfg, epoch)
        if changed == self._changed:
            return None
        self._changed = changed
        now = self._build_changeable()
        self.update.use(now.MODEL.SOLVER)
        return now

    def _follow_lineage(self) -> None:
        """Takes up the values of the epoch that begins, where they are others than those before."""
        now = self._take_up(self.epoch)
        if now is None:
            return
        fresh = build_optimizer(now.MODEL.SOLVER.OPTIMIZER, self._groups(now))
        for group, options in zip(self.optimizer.param_groups, fresh.param_groups, strict=True):
            group.update({name: value for name, value in options.items() if name != "params"})

    def run_epoch(self, on_step: OnStep) -> Metrics:
        """Trains and evaluates one epoch and returns its metrics.

        Raises:
            TrainingDivergedError: too many steps in a row had to be skipped.
        """
        start = time.perf_counter()
        self.epoch += 1
        self._follow_lineage()
        with self._stopwatch.measuring(TRAINING):
            train = self.train_epoch(on_step).summary()
        trained = time.perf_counter()
        with self._stopwatch.measuring(EVALUATION):
            self.evaluation = self.evaluate()
        images_per_second = len(self.data.val_indices) / (time.perf_counter() - trained)
        val = self.evaluation.summary()
        self.schedule.after_epoch(val["loss"])
        row: Metrics = {"epoch": self.epoch, "lr": self.update.rate}
        row |= {f"train_{name}": value for name, value in train.items()}
        row |= {f"val_{name}": value for name, value in val.items()}
        row |= {"seconds": time.perf_counter() - start, **self.cost, "images_per_second": images_per_second}
        self.metrics.append(row)
        self.task_metrics += [{"epoch": self.epoch, **of_task} for of_task in self.evaluation.tasks()]
        return row

    def try_step(self) -> None:
        """Trains on one small augmented batch, to see whether everything works; the training is of no use then."""
        self.start_epoch()
        images, labels = self.loader.sample(size=min(2, self.cfg.DATASET.BATCH_SIZE))
        inputs, partners, own_weight = self.mixing(self.to_input(images), 1, 0)
        with autocast(self.cfg.MODEL.SOLVER.AMP, self.device):
            logits = self.model(inputs)
        _check_outputs(logits, (len(images), self.data.class_counts), self.cfg.MODEL.HEAD.NAME)
        self.loss(logits, labels.to(self.device), partners, own_weight).backward()
        self.optimizer.step()

    def train_epoch(self, on_step: OnStep) -> ClassificationMetrics:
        """Trains on every batch of the epoch and returns how the model did on them, as they were trained."""
        self.start_epoch()
        steps = self.loader.steps_per_epoch
        results: Results = []
        for step, (images, labels) in enumerate(self.loader.train_batches(self.epoch)):
            results.append(self.train_batch(images, labels, step, steps))
            on_step(self.epoch, step + 1, steps)
        return self._collected(results, only_finite=True)

    def start_epoch(self) -> None:
        """Puts model and loss into training mode; to be called before `train_batch`."""
        set_training(self.model)
        self.loss.train()
        self.update.start_epoch()

    def train_batch(self, images: torch.Tensor, labels: torch.Tensor, step: int, steps: int) -> Result:
        """Trains on a batch of the loader.

        Args:
            images: as the loader gives them.
            labels: of shape (batch, tasks).
            step: of the epoch, counted from 0.
            steps: of the epoch.

        Returns:
            Predictions, labels and loss, on the device.
        """
        labels = labels.to(self.device)
        inputs, partners, own_weight = self.mixing(self.to_input(images), self.epoch, step)
        with autocast(self.cfg.MODEL.SOLVER.AMP, self.device):
            logits = self.model(inputs)
        loss = self.loss(logits, labels, partners, own_weight)
        self.update.add(loss, step, steps)
        return _predictions(logits, len(labels)), labels, loss.detach()

    @torch.no_grad()
    def evaluate(self, averaged: bool = True) -> ClassificationMetrics:
        """Returns how the model does on the validation images.

        Args:
            averaged: whether the moving average of its weights is evaluated, where there is one.
        """
        model = (self.update.averaged if averaged else None) or self.model
        model.eval()
        self.loss.eval()
        results: Results = []
        for images, labels in self.loader.val_batches():
            labels = labels.to(self.device)
            with autocast(self.cfg.MODEL.SOLVER.AMP, self.device):
                logits = model(self.to_input(images))
            results.append((_predictions(logits, len(labels)), labels, self.loss(logits, labels)))
        return self._collected(results)

    def to_input(self, images: torch.Tensor) -> torch.Tensor:
        """Returns what the model takes for a batch of the loader."""
        inputs = to_model_input(images, self.resolved_cfg.DATASET, self.device)
        return inputs.contiguous(memory_format=self._memory_format)

    def _collected(self, results: Results, only_finite: bool = False) -> ClassificationMetrics:
        # Results stay on the device until here: a copy in every step would make the GPU wait.
        metrics = ClassificationMetrics(self.data.classes, self._task_weights)
        for predictions, labels, loss in results:
            if not only_finite or loss.isfinite():  # a batch that was skipped says nothing about the epoch
                metrics.add(predictions.cpu().numpy(), labels.cpu().numpy(), loss.item())
        return metrics

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds, to go on from or to predict with."""
        return {
            "epoch": self.epoch,
            "metrics": self.metrics,
            "task_metrics": self.task_metrics,
            "model": self.model.state_dict(),
            **self.update.state_dict(),
            "rng": rng_state(),
            "data": self.data.digest,
            "config": dump_cfg(self.cfg, self.resolved_cfg),
            "derived": {key: get_value(self.resolved_cfg, key) for key in DERIVED},
            "task_weights": self._task_weights,
            "working_folder": os.getcwd(),
            "code": self._code,
            "classes": {task: list(names) for task, names in self.data.classes.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` returned.

        Raises:
            DataError: the images, their labels or their split are not those that were trained on before.
        """
        if state["data"] != self.data.digest:
            raise DataError(
                f"the images of {self.cfg.DATASET.NAME}, their labels or their split are not those that this "
                "training began with: going on could validate on what was trained on; train in another folder, with "
                "MODEL.WARM_START_PATH to start from these weights",
                key="DATASET",
            )
        if state["epoch"]:  # as it was when the checkpoint was written
            self._take_up(state["epoch"])
        self.model.load_state_dict(state["model"])
        self.update.load_state_dict(state)
        self.epoch = state["epoch"]
        self.metrics = state["metrics"]
        self.task_metrics = state["task_metrics"]
        set_rng_state(state["rng"])


def _check_outputs(logits: Any, expected: tuple[int, tuple[int, ...]], head: str) -> None:
    batch, class_counts = expected
    shapes = [tuple(one.shape) for one in logits] if isinstance(logits, (list, tuple)) else None
    if shapes != [(batch, count) for count in class_counts]:
        found = f"a list with shapes {shapes}" if shapes is not None else f"a {type(logits).__name__}"
        raise ConfigError(
            f"{head} must return a list of logits, one tensor (batch, classes) a task, here of "
            f"{', '.join(str(count) for count in class_counts)} classes; it returned {found}",
            key="MODEL.HEAD.NAME",
        )


def _predictions(logits: list[torch.Tensor], images: int) -> torch.Tensor:
    """Returns the predicted classes of the first views, of shape (images, tasks)."""
    return torch.stack([one[:images].detach().argmax(dim=1) for one in logits], dim=1)
