"""What is wrong between config keys, each of which is legal by itself."""

from collections.abc import Callable

from yacs.config import CfgNode

from configs.defaults import AUTO, KEYS, Key
from configs.errors import Problems, did_you_mean
from configs.legal import Part
from configs.tree import get_value

Where = Callable[..., str]  # of some keys, returns the place where the first of them was given, or nothing


def inconsistencies(cfg: CfgNode, sources: dict[str, str]) -> list[str]:
    """Returns what is wrong between keys, a sentence each.

    Args:
        cfg: the config.
        sources: where each key was given that is not at its default.
    """

    def where(*keys: str) -> str:
        return next((f"{sources[key]}: " for key in keys if key in sources), "")

    return [
        *_unknown_parts(cfg, where),
        *_of_dataset(cfg, where),
        *_of_backbone(cfg, where),
        *_of_solver(cfg, where),
        *_of_lineage(cfg, where),
    ]


def _unknown_parts(cfg: CfgNode, where: Where) -> list[str]:
    if cfg.USER_MODULES:
        return []
    parts = [key for key in KEYS.values() if isinstance(key.rule, Part)]
    unknown = {key.name: unknown_part(key, get_value(cfg, key.name)) for key in parts}
    return [where(name) + problem for name, problem in unknown.items() if problem]


def _of_dataset(cfg: CfgNode, where: Where) -> Problems:
    dataset = cfg.DATASET
    problems = Problems()
    if dataset.TO_RGB != cfg.MODEL.BACKBONE.RGB:
        problems.add(
            f"{where('MODEL.BACKBONE.RGB', 'DATASET.TO_RGB')}DATASET.TO_RGB is {dataset.TO_RGB} and "
            f"MODEL.BACKBONE.RGB is {cfg.MODEL.BACKBONE.RGB}: images and backbone need the same number of channels; "
            "set both alike"
        )
    for name in ("NORMALIZE_MEAN", "NORMALIZE_STD"):
        if not dataset.TO_RGB and dataset[name] != AUTO and len(dataset[name]) == 3:
            problems.add(
                f"{where(f'DATASET.{name}')}DATASET.{name} has 3 values, but with DATASET.TO_RGB false images have one "
                "channel; give one value"
            )
    if dataset.FOLDS is None and dataset.VALIDATION_FOLD > 0:
        problems.add(
            f"{where('DATASET.VALIDATION_FOLD')}DATASET.VALIDATION_FOLD is {dataset.VALIDATION_FOLD}, but there are no "
            "folds: DATASET.FOLDS is null; give both or none"
        )
    for given, reader in (
        ("PATH_VALIDATION", "image_folder"),
        ("TABLE.GROUP_COLUMN", "image_table"),
        ("TABLE.SPLIT_COLUMN", "image_table"),
    ):
        if get_value(dataset, given) and reader != dataset.NAME and not cfg.USER_MODULES:
            problems.add(
                f"{where(f'DATASET.{given}')}DATASET.{given} is read by {reader} alone, and DATASET.NAME is "
                f"{dataset.NAME}; leave it out"
            )
    for given in ("PATH_VALIDATION", "TABLE.SPLIT_COLUMN"):
        if get_value(dataset, given) and dataset.FOLDS is not None:
            problems.add(
                f"{where('DATASET.FOLDS', f'DATASET.{given}')}DATASET.FOLDS is {dataset.FOLDS}, but DATASET.{given} "
                "says already what is validated on; leave one of them out"
            )
    if dataset.FOLDS is not None and dataset.VALIDATION_FOLD >= dataset.FOLDS:
        problems.add(
            f"{where('DATASET.VALIDATION_FOLD', 'DATASET.FOLDS')}DATASET.VALIDATION_FOLD is {dataset.VALIDATION_FOLD}, "
            f"but of DATASET.FOLDS {dataset.FOLDS} the last is number {dataset.FOLDS - 1}"
        )
    return problems


def _of_backbone(cfg: CfgNode, where: Where) -> list[str]:
    backbone = cfg.MODEL.BACKBONE
    keys = ("MODEL.BACKBONE.PRETRAINED", "MODEL.BACKBONE.PRETRAINED_PATH")
    if backbone.PRETRAINED and backbone.PRETRAINED_PATH:
        return [f"{where(*keys)}{keys[0]} is true and {keys[1]} names a file: give one of them"]
    return []


def _of_solver(cfg: CfgNode, where: Where) -> Problems:
    problems = Problems()
    solver, augmentation = cfg.MODEL.SOLVER, cfg.DATASET.AUGMENTATION
    if solver.OPTIMIZER.NAME == "sgd" and solver.OPTIMIZER.SGD.NESTEROV and solver.OPTIMIZER.SGD.MOMENTUM == 0:
        problems.add(
            f"{where('MODEL.SOLVER.OPTIMIZER.SGD.NESTEROV')}MODEL.SOLVER.OPTIMIZER.SGD.NESTEROV needs "
            "MODEL.SOLVER.OPTIMIZER.SGD.MOMENTUM above 0"
        )
    if solver.SCHEDULER.NAME == "cosine" and solver.SCHEDULER.WARMUP_EPOCHS >= solver.TOTAL_EPOCHS:
        problems.add(
            f"{where('MODEL.SOLVER.SCHEDULER.WARMUP_EPOCHS', 'MODEL.SOLVER.TOTAL_EPOCHS')}"
            f"MODEL.SOLVER.SCHEDULER.WARMUP_EPOCHS is {solver.SCHEDULER.WARMUP_EPOCHS:g}, which must be less than "
            f"MODEL.SOLVER.TOTAL_EPOCHS {solver.TOTAL_EPOCHS}"
        )
    jsd = "MODEL.SOLVER.LOSS.JSD_WEIGHT"
    if solver.LOSS.JSD_WEIGHT > 0 and augmentation.AUGMIX.PROB == 0:
        problems.add(f"{where(jsd)}{jsd} compares AugMix versions of an image; set {_AUGMIX_PROB} above 0, as to 1")
    for name in ("MIXUP_ALPHA", "CUTMIX_ALPHA"):
        if solver.LOSS.JSD_WEIGHT > 0 and augmentation[name] > 0:
            key = f"DATASET.AUGMENTATION.{name}"
            problems.add(f"{where(jsd, key)}{jsd} and {key} do not go together; set one of them to 0")
    for key in ("MODEL.SOLVER.LOSS.TASK_WEIGHTS", "EVALUATION.TASK_WEIGHTS"):
        weights = get_value(cfg, key)
        if weights and not any(weights):
            problems.add(f"{where(key)}{key}: all weights are 0; at least one must be above 0")
    return problems


def _of_lineage(cfg: CfgNode, where: Where) -> Problems:
    """Returns what is wrong with the values of earlier epochs."""
    problems = Problems()
    changing = sorted(name for name, key in KEYS.items() if key.can_change)
    for trial, first, last, values in cfg.LINEAGE:
        place = f"{where('LINEAGE')}LINEAGE: epochs {first} to {last} (trial {trial})"
        for name, value in values:
            if name not in changing:
                problems.add(f"{place}: {name} cannot change in a model that is trained.{did_you_mean(name, changing)}")
                continue
            try:
                KEYS[name].rule.read(value)
            except (ValueError, OverflowError):
                problems.add(f"{place}: {name}: found {value!r}, allowed is {KEYS[name].rule.allowed}")
        is_paced = any(name.endswith("BASE_LR") for name, _ in values)
        if is_paced and cfg.MODEL.SOLVER.SCHEDULER.NAME != "unchange":
            problems.add(
                f"{place}: a learning rate that changes by lineage needs MODEL.SOLVER.SCHEDULER.NAME unchange, found "
                f"{cfg.MODEL.SOLVER.SCHEDULER.NAME}"
            )
    return problems


_AUGMIX_PROB = "DATASET.AUGMENTATION.AUGMIX.PROB"


def unknown_part(key: Key, name: str) -> str | None:
    """Returns what is wrong with the name of a part, as far as that can be told without importing torch."""
    rule = key.rule
    if not isinstance(rule, Part) or rule.is_open or name in rule.names:
        return None
    return (
        f"{key.name}: unknown {rule.kind} {name!r}.{did_you_mean(name, rule.names)} Known: {', '.join(rule.names)}. "
        "A part of yours is found through USER_MODULES"
    )
