"""Predicts with the models of checkpoints, which carry all that it takes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.loader import build_cfg
from configs.settings import settings_from_yaml
from configs.user_modules import import_user_modules
from configs.yaml_file import parse_yaml
from data.augmentation import Augmentation
from data.loader import to_model_input
from data.preparation import Preparation
from trainable.checkpoint import CheckpointError, load_checkpoint
from trainable.meta_arch.build import build_model
from trainable.precision import autocast
from trainable.process_state import pick_device

# Where a training started from; its checkpoint has the weights, and the files may be on another machine.
_STARTS = ("RESUME_PATH", "MODEL.WARM_START_PATH", "MODEL.BACKBONE.PRETRAINED_PATH")


class TrainedModel:
    """The model of a checkpoint.

    Args:
        path: of the checkpoint.

    Attributes:
        cfg: that it was trained with.
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
        self.cfg = _cfg_of(state["config"], str(path))
        self.classes: dict[str, tuple[str, ...]] = {task: tuple(names) for task, names in state["classes"].items()}
        self.device = pick_device()
        import_user_modules(self.cfg.USER_MODULES)
        model, _ = build_model(self.cfg, [len(names) for names in self.classes.values()])
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
        if model.classes != models[0].classes:
            raise ConfigError(f"--checkpoint: {path} has other tasks or classes than {paths[0]}; average models alike")
    return models


def average(of_models: Sequence[list[np.ndarray]]) -> list[np.ndarray]:
    """Returns the mean over models of what `TrainedModel.probabilities` gave for each task."""
    return [np.mean(of_task, axis=0) for of_task in zip(*of_models, strict=True)]


def _cfg_of(text: str, source: str) -> CfgNode:
    problems: list[str] = []
    settings = settings_from_yaml(parse_yaml(text, source), problems)
    return build_cfg([setting for setting in settings if setting.key not in _STARTS], problems)
