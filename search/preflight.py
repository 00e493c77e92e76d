"""Builds everything once before a search starts, so that a mistake costs seconds and not trials."""

import traceback
from collections.abc import Iterator
from typing import Any

from yacs.config import CfgNode

from configs.defaults import KEYS
from configs.errors import ConfigError
from configs.legal import Part
from configs.registry import import_user_modules
from data.build import build_dataset
from search.distributions import Choice
from search.plan import SearchPlan
from trainable.meta_arch.build import build_model
from trainable.process_state import ProcessState
from trainable.solver.loss import build_loss
from trainable.solver.optimizer import build_optimizer
from trainable.solver.schedule import build_schedule


def check_parts(plan: SearchPlan) -> None:
    """Builds each part that the plan names, and each data set, once.

    Raises:
        ConfigError: with every mistake: unknown parts, missing data, derived values that contradict.
    """
    before = ProcessState()  # a user's part may change anything
    problems: dict[str, str] = {}  # each with the first sample that shows it
    try:
        import_user_modules(plan.base_cfg.USER_MODULES)
        for sample in _samples_naming_each_part(plan):
            try:
                _build(plan.sample_cfg(sample))
            except ConfigError as error:
                for problem in error.problems:
                    problems.setdefault(problem, ", ".join(f"{key} {value}" for key, value in sample.items()))
            except Exception as error:  # from a part of the user's
                named = ", ".join(f"{key} {value}" for key, value in sample.items())
                place = traceback.extract_tb(error.__traceback__)[-1]
                problem = f"{type(error).__name__}: {error} ({place.filename}, line {place.lineno})"
                problems.setdefault(f"a model cannot be built: {problem}", named)
    finally:
        before.restore()
    if problems:
        raise ConfigError(f"{problem} (with {sample})" for problem, sample in problems.items())


def _samples_naming_each_part(plan: SearchPlan) -> Iterator[dict[str, Any]]:
    """A sample of all first values, then one more for each further name of a part."""
    first = {key: parameter.distribution.probes()[0] for key, parameter in plan.parameters.items()}
    yield first
    for key, parameter in plan.parameters.items():
        if isinstance(KEYS[key].rule, Part) and isinstance(parameter.distribution, Choice):
            for name in parameter.distribution.values[1:]:
                yield first | {key: name}


def _build(cfg: CfgNode) -> None:
    data = build_dataset(cfg.DATASET)
    model, _ = build_model(cfg, data.class_counts)
    solver = cfg.MODEL.SOLVER
    build_loss(solver.LOSS)
    optimizer = build_optimizer(solver.OPTIMIZER, model.parameters())
    build_schedule(solver.SCHEDULER, optimizer, solver.TOTAL_EPOCHS, steps_per_epoch=1)
