"""What a search will do, from space file, base config, command line and environment: all checks without torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from yacs.config import CfgNode

from configs.consistency import unknown_part
from configs.defaults import KEYS
from configs.dump import dump_cfg
from configs.errors import ConfigError
from configs.legal import Part
from configs.loader import build_cfg, with_values
from configs.settings import (
    Setting,
    refuse_both,
    settings_from_command_line,
    settings_from_environment,
    settings_from_yaml,
)
from configs.yaml_file import read_yaml
from search.distributions import Choice
from search.options import SearchOptions
from search.space import Parameter, Space

# Keys that a search sets itself.
_OURS = {
    "OUTPUT_PATH": "has no place in a search; -o names its folder",
    "BEST_METRIC": "is set by a search to its metric; change search: metric",
}

TOTAL_EPOCHS = "MODEL.SOLVER.TOTAL_EPOCHS"


@dataclass(frozen=True)
class SearchPlan:
    """A search that can be started.

    Attributes:
        name: of the search: that of its space file.
        base_cfg: what samples are merged over; constants of the space, command line and .env included.
        options: how to search; flags of the command line included.
        parameters: the keys that are sampled, by name.
        notes: what the user should know before it starts.
    """

    name: str
    base_cfg: CfgNode
    options: SearchOptions
    parameters: dict[str, Parameter]
    notes: tuple[str, ...] = ()

    def space_yaml(self) -> str:
        """The space file as used."""
        tree = {"base": "base.yaml", "search": self.options.to_yaml()}
        return _yaml_text(tree) + self.parameters_yaml()

    def parameters_yaml(self) -> str:
        """The part of the space file that says what is sampled."""
        return _yaml_text({"space": {key: p.distribution.to_yaml() for key, p in self.parameters.items()}})

    def base_yaml(self) -> str:
        """The config that samples are merged over, as used."""
        return dump_cfg(self.base_cfg)

    def total_epochs(self, params: dict[str, Any]) -> int:
        """Returns how many epochs a trial with these values trains, if it is not stopped."""
        return int(params.get(TOTAL_EPOCHS, self.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS))

    def sample_cfg(self, sample: dict[str, Any]) -> CfgNode:
        """Returns the config of a sample.

        Raises:
            ConfigError: its values are legal one by one, but not together.
        """
        return merge_sample(self.base_cfg, sample)


def _yaml_text(tree: dict[str, Any]) -> str:
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=float("inf"))


def merge_sample(base_cfg: CfgNode, sample: dict[str, Any]) -> CfgNode:
    """Returns a config with the values of a sample, by key, merged over it."""
    return build_cfg([Setting(key, value, "sample") for key, value in sample.items()], base=base_cfg)


def make_plan(
    space: Space,
    cfg_path: str | Path | None = None,
    pairs: Sequence[str] = (),
    num_samples: int | None = None,
    time_budget: float | None = None,
    cpus_per_trial: float | None = None,
    gpus_per_trial: float | None = None,
    with_environment: bool = True,
) -> SearchPlan:
    """Puts a space file, the flags and the environment together.

    Args:
        space: the space file.
        cfg_path: replaces the space file's base.
        pairs: KEY, VALUE, KEY, VALUE ... from the command line.
        num_samples: replaces the space file's, as do the following ones.
        time_budget: in seconds.
        cpus_per_trial: CPU cores.
        gpus_per_trial: GPUs.
        with_environment: whether .env and the environment have a say.

    Raises:
        ConfigError: with every mistake that was found.
    """
    problems: list[str] = []
    flags: dict[str, Any] = {
        "num_samples": num_samples,
        "time_budget": time_budget,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
    }
    options = replace(space.options, **{name: value for name, value in flags.items() if value is not None})

    base_path = cfg_path or space.base
    from_base = settings_from_yaml(read_yaml(base_path), problems) if base_path else []
    from_command_line = settings_from_command_line(pairs, problems)
    from_environment = settings_from_environment(problems) if with_environment else []
    for setting in from_command_line:
        if setting.key in _OURS:
            problems.append(f"command line: {setting.key} {_OURS[setting.key]}")
    fixed = {setting.key: setting for setting in from_command_line}
    parameters = {key: p for key, p in space.parameters.items() if key not in fixed}
    sampled = [Setting(p.key, None, p.source) for p in parameters.values()]
    refuse_both([*sampled, *space.constants, *from_command_line], from_environment, problems)

    given = [*from_base, *space.constants, *from_command_line, *from_environment]
    if "NUM_THREADS" not in {setting.key for setting in given}:  # a trial uses the cores that it asks for
        given.insert(0, Setting("NUM_THREADS", max(1, int(options.cpus_per_trial)), "search: resources: cpu"))
    base_cfg = _build(given, problems)
    if base_cfg is not None:
        base_cfg = with_values(base_cfg, {"BEST_METRIC": options.metric, "OUTPUT_PATH": ""})
        problems += _misfits(space, options, parameters, base_cfg)
    if problems:
        raise ConfigError(problems)
    assert base_cfg is not None  # else there were problems
    notes = tuple(
        f"{key} is fixed to {setting.value} by the command line and not sampled"
        for key, setting in fixed.items()
        if key in space.parameters
    )
    return SearchPlan(space.path.stem, base_cfg, options, parameters, notes)


def _build(settings: list[Setting], problems: list[str]) -> CfgNode | None:
    try:
        return build_cfg(settings)
    except ConfigError as error:
        problems += error.problems
        return None


def _misfits(space: Space, options: SearchOptions, parameters: dict[str, Parameter], base_cfg: CfgNode) -> list[str]:
    """Returns what is wrong between the parts of a plan."""
    problems = []
    if not parameters:
        problems.append(f"{space.path}: the command line fixes every key that is sampled; nothing is left to search")
    if base_cfg.RESUME_PATH:
        problems.append("RESUME_PATH has no place in a search; it is for a single run")
    for parameter in parameters.values():
        key, distribution = KEYS[parameter.key], parameter.distribution
        if isinstance(key.rule, Part) and isinstance(distribution, Choice) and not base_cfg.USER_MODULES:
            unknown = [unknown_part(key, name) for name in distribution.values]
            problems += [f"{parameter.source}: {problem}" for problem in unknown if problem]
    if options.scheduler.name == "asha":
        if TOTAL_EPOCHS in parameters:
            problems.append(
                f"{parameters[TOTAL_EPOCHS].source}: {TOTAL_EPOCHS} cannot be searched under asha, which compares "
                "trials by their epoch; give it one value or use scheduler: none"
            )
        grace = options.scheduler.options.get("grace_period", 1)
        if grace > base_cfg.MODEL.SOLVER.TOTAL_EPOCHS:
            problems.append(
                f"{space.path}: asha: grace_period {grace} is more than {TOTAL_EPOCHS} "
                f"{base_cfg.MODEL.SOLVER.TOTAL_EPOCHS}; no trial would ever be stopped"
            )
    return problems
