"""Predicts with the models of checkpoints, which carry all that it takes but the code of USER_MODULES."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from yacs.config import CfgNode

from configs.defaults import AUTO, KEYS
from configs.errors import ConfigError, Problems
from configs.files import lies_in_project, shown_path
from configs.loader import build_cfg, sources_of, with_values
from configs.relative_paths import located
from configs.settings import refuse_both, settings_from_command_line, settings_from_environment, settings_from_yaml
from configs.tree import get_value
from configs.user_modules import announced, code_checksums, import_user_modules, other_code
from configs.yaml_file import parse_yaml
from data.augmentation import Augmentation
from data.loader import to_model_input
from data.preparation import Preparation
from trainable.checkpoint import CheckpointError, fitting, load_checkpoint
from trainable.meta_arch.build import build_model
from trainable.precision import autocast
from trainable.process_state import pick_device
from trainable.start_weights import MEAN, STD

# Where a training started from; its checkpoint has the weights, and the files may be on another machine.
_STARTS = (
    *("RESUME_PATH", "MODEL.WARM_START_PATH"),
    *("MODEL.BACKBONE.PRETRAINED", "MODEL.BACKBONE.PRETRAINED_PATH"),
)
# What may be another where a model is used: where its code lies, and which images count as unreadable.
CAN_BE_GIVEN = ("USER_MODULES", "DATASET.ON_UNREADABLE", "DATASET.MAX_PIXELS", "DATASET.TABLE.PATHS_OUTSIDE")


class TrainedModel:
    """The model of a checkpoint.

    Args:
        path: of the checkpoint.
        pairs: KEY, VALUE, KEY, VALUE ... in place of what the checkpoint says; the keys are those of CAN_BE_GIVEN.
        allow_code: run what its USER_MODULES name, too, if checkpoint or modules do not lie below the working folder.

    Attributes:
        cfg: that it was trained with, with the mean and std that were used.
        task_weights: of the tasks in its score; equal if empty.
        classes: for each task, by name, the names of its classes.

    Raises:
        ConfigError: the checkpoint is missing or damaged, its model cannot be built here, or it names code that nobody
            has allowed.
        OSError: the checkpoint cannot be read.
    """

    def __init__(self, path: str | Path, pairs: Sequence[str] = (), allow_code: bool = False):
        try:
            state = load_checkpoint(path)
        except CheckpointError as error:
            raise ConfigError(f"--checkpoint: {error}") from None
        with fitting(path):
            cfg, whose_code = _cfg_of(state, Path(path), pairs)
            derived = state.get("derived", {})  # checkpoints of 0.1 have none, and need none
            normalised = {key: KEYS[key].rule.read(derived[key]) for key in (MEAN, STD) if get_value(cfg, key) == AUTO}
            self.cfg = with_values(cfg, normalised)
            self.task_weights: tuple[float, ...] = tuple(float(weight) for weight in state.get("task_weights", ()))
            self.classes = _classes_of(state)
        self.device = pick_device()
        if whose_code == str(path) and not allow_code:
            _refuse_foreign_code(path, cfg.USER_MODULES)
        for line in announced(cfg.USER_MODULES, whose_code):
            print(f"note: {line}")
        import_user_modules(cfg.USER_MODULES)
        for line in other_code(state.get("code", {}), code_checksums(cfg.USER_MODULES)):
            print(f"note: {path}: {line}")
        model, _ = build_model(self.cfg, self.classes)
        with fitting(path):
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


def load_models(paths: Sequence[str], pairs: Sequence[str] = (), allow_code: bool = False) -> list[TrainedModel]:
    """Returns the models of several checkpoints that tell the same classes apart; see TrainedModel.

    Raises:
        ConfigError: a checkpoint cannot be used, or has other classes than the first.
    """
    models = [TrainedModel(path, pairs, allow_code) for path in paths]
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


def _classes_of(state: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    classes = {task: tuple(names) for task, names in state["classes"].items()}
    if not classes or not all(isinstance(name, str) for task, names in classes.items() for name in (task, *names)):
        raise ValueError("its classes are no names")
    return classes


def _cfg_of(state: dict[str, Any], path: Path, pairs: Sequence[str]) -> tuple[CfgNode, str]:
    """Returns the config of a checkpoint, with what is given in place of it, and where its USER_MODULES were named."""
    problems = Problems()
    trained_in = [Path(state.get("working_folder", ""))]
    from_checkpoint = [
        replace(setting, value=located(setting.key, setting.value, trained_in), source=str(path))
        for setting in settings_from_yaml(parse_yaml(state["config"], str(path)), problems)
        if setting.key not in _STARTS
    ]
    from_command_line = settings_from_command_line(pairs, problems)
    problems += [
        f"{setting.source}: {setting.key} belongs to the model; what can be given here: {', '.join(CAN_BE_GIVEN)}"
        for setting in from_command_line
        if setting.key not in CAN_BE_GIVEN
    ]
    from_environment = [setting for setting in settings_from_environment(problems) if setting.key in CAN_BE_GIVEN]
    refuse_both(from_command_line, from_environment, problems)
    settings = [*from_checkpoint, *from_command_line, *from_environment]
    return build_cfg(settings, problems), sources_of(settings).get("USER_MODULES", str(path))


def _refuse_foreign_code(path: str | Path, modules: Sequence[str]) -> None:
    """Raises ConfigError if a checkpoint that somebody else may have made wants code to be run."""
    files = [module for module in modules if module.endswith(".py")]
    foreign = [file for file in (path, *files) if not lies_in_project(file)]
    if modules and foreign:
        named = ", ".join(shown_path(file) if file in files else file for file in modules)
        raise ConfigError(
            f"--checkpoint: {path}: its USER_MODULES name code that would run: {named}. {foreign[0]} does not lie "
            "below the working folder of a project, so it may be somebody else's: read the code and add --allow-code, "
            "or give your own: USER_MODULES [parts.py]"
        )
