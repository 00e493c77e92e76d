"""Predicts with the models of checkpoints, which carry all that it takes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from yacs.config import CfgNode

from configs.defaults import AUTO
from configs.errors import ConfigError
from configs.loader import build_cfg, with_values
from configs.settings import Setting, settings_from_yaml
from configs.tree import get_value
from configs.user_modules import import_user_modules
from configs.yaml_file import parse_yaml
from data.augmentation import Augmentation
from data.loader import to_model_input
from data.preparation import Preparation
from trainable.checkpoint import CheckpointError, load_checkpoint
from trainable.meta_arch.build import build_model
from trainable.precision import autocast
from trainable.process_state import pick_device
from trainable.start_weights import MEAN, STD

# Where a training started from; its checkpoint has the weights, and the files may be on another machine.
_STARTS = (
    *("RESUME_PATH", "MODEL.WARM_START_PATH"),
    *("MODEL.BACKBONE.PRETRAINED", "MODEL.BACKBONE.PRETRAINED_PATH"),
)


class TrainedModel:
    """The model of a checkpoint.

    Args:
        path: of the checkpoint.

    Attributes:
        cfg: that it was trained with, with the mean and std that were used.
        task_weights: of the tasks in its score; equal if empty.
        classes: for each task, by name, the names of its classes.

    Raises:
        ConfigError: the checkpoint is missing or damaged, or its model cannot be built here.
        OSError: the checkpoint cannot be read.
    """

    def __init__(self, path: str | Path):
        try:
            state = load_checkpoint(path)
        except CheckpointError as error:
            raise ConfigError(f"--checkpoint: {error}") from None
        cfg = _cfg_of(state, Path(path).absolute())
        derived = state.get("derived", {})  # checkpoints of 0.1 have none, and need none
        self.cfg = with_values(cfg, {key: derived[key] for key in (MEAN, STD) if get_value(cfg, key) == AUTO})
        self.task_weights: tuple[float, ...] = tuple(state.get("task_weights", ()))
        self.classes: dict[str, tuple[str, ...]] = {task: tuple(names) for task, names in state["classes"].items()}
        self.device = pick_device()
        import_user_modules(self.cfg.USER_MODULES)
        model, _ = build_model(self.cfg, self.classes)
        model.load_state_dict(state["ema"] or state["model"])
        self.model: nn.Module = model.to(self.device).eval()
        self.preparation = Preparation.of(self.cfg.DATASET)
        self._augmentation = Augmentation(self.cfg.DATASET.AUGMENTATION)

    @torch.no_grad()
    def probabilities(self, images: Sequence[np.ndarray], seed: int, augmented: int = 0) -> list[np.ndarray]:
        """Returns the probability of each class, one array (images, classes) a task.

        Args:
            images: uint8 of shape (height, width) or (height, width, 3), as a data set's raw images.
            seed: of the augmentation.
            augmented: how many augmented versions of each image are predicted too, and averaged with it.

        Raises:
            ConfigError: augmented versions are asked for, but the model was trained without augmentation.
        """
        if augmented and self._augmentation.is_off:
            raise ConfigError(
                "--tta: averages over the augmentations of the training, but this model was trained without any"
            )
        prepared = [self.preparation(image) for image in images]
        versions = [prepared]
        for version in range(augmented):
            seeds = np.random.SeedSequence([seed, version]).generate_state(len(prepared))
            versions.append([self._augmentation(i, int(s)) for i, s in zip(prepared, seeds, strict=True)])
        sums = [np.zeros((len(images), len(names))) for names in self.classes.values()]
        for version_images in versions:
            batch = torch.from_numpy(np.stack(version_images)).permute(0, 3, 1, 2)
            with autocast(self.cfg.MODEL.SOLVER.AMP, self.device):
                logits = self.model(to_model_input(batch, self.cfg.DATASET, self.device))
            for total, one in zip(sums, logits, strict=True):
                total += one.float().softmax(dim=1).cpu().numpy()
        return [total / len(versions) for total in sums]


def load_models(paths: Sequence[str]) -> list[TrainedModel]:
    """Returns the models of several checkpoints that tell the same classes apart.

    Raises:
        ConfigError: a checkpoint cannot be used, or has other classes than the first.
    """
    models = [TrainedModel(path) for path in paths]
    for path, model in zip(paths, models, strict=True):
        if list(model.classes.items()) != list(models[0].classes.items()):
            raise ConfigError(f"--checkpoint: {path} has other tasks or classes than {paths[0]}; average models alike")
        backgrounds = [one.cfg.DATASET.BACKGROUND for one in (model, models[0])]
        if backgrounds[0] != backgrounds[1]:
            raise ConfigError(
                f"--checkpoint: {path} was trained with DATASET.BACKGROUND {backgrounds[0]}, and {paths[0]} with "
                f"{backgrounds[1]}; average models alike"
            )
    return models


def average(of_models: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    """Returns the mean over models of what `TrainedModel.probabilities` gave for each task."""
    return [np.mean(of_task, axis=0) for of_task in zip(*of_models, strict=True)]


def _cfg_of(state: dict[str, Any], path: Path) -> CfgNode:
    problems: list[str] = []
    settings = settings_from_yaml(parse_yaml(state["config"], str(path)), problems)
    started = [Path(), *path.parents, Path(state.get("working_folder", ""))]
    found = [_found(one, started) if one.key == "USER_MODULES" else one for one in settings if one.key not in _STARTS]
    return build_cfg(found, problems)


def _found(modules: Setting, folders: Sequence[Path]) -> Setting:
    """Looks for the files of modules, whose paths start where the training was started, which may be one of these."""
    found = []
    for module in modules.value:
        places = [folder / module for folder in folders] if module.endswith(".py") else []
        found.append(next((str(place) for place in places if place.is_file()), module))
    return replace(modules, value=found)
