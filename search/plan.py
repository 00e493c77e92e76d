"""What a search will do, from space file, base config, command line and environment: all checks without torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.defaults import KEYS
from configs.dump import dump_cfg
from configs.errors import ConfigError, Problems
from configs.loader import build_cfg, collect_settings, overruled, read_setting, sources_of, with_values
from configs.settings import Setting, refuse_both
from configs.tree import get_value, plain
from configs.user_modules import announced
from configs.yaml_file import YamlMap, read_yaml, yaml_text
from search.plan_checks import misfits, remarks
from search.space.fixing import fix_keys
from search.space.items import TOTAL_EPOCHS, Constant
from search.space.kinds import kinds_of_space
from search.space.options import AUTO_SAMPLES, SearchOptions
from search.space.space import Point, Space
from search.space.space_file import NamedFile, SpaceFile, base_of
from search.space.start import read_start

# Keys that a search sets itself.
_OURS = {
    "OUTPUT_PATH": "has no place in a search; -o names its folder",
    "BEST_METRIC": "is set by a search to its metric; change search: metric",
}


@dataclass(frozen=True)
class SearchPlan:
    """A search that can be started.

    Attributes:
        name: of the search: that of its space file.
        base_cfg: what samples are merged over; constants of the space, command line and .env included.
        options: how to search; flags of the command line included.
        space: what is sampled.
        start: values of the first trials, by name of the parameter.
        notes: what the user should know before it starts.
        secrets: by key; they are in no config of the search, which Ray pickles into files.
        sources: where keys were given that the base config has not by default, in words that lead a message.
        earlier: the options before those, of a search that is resumed; None: it is new.
    """

    name: str
    base_cfg: CfgNode
    options: SearchOptions
    space: Space
    start: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    sources: dict[str, str] = field(default_factory=dict)
    earlier: SearchOptions | None = None

    def space_yaml(self) -> str:
        """The space file as used."""
        tree = {"base": "base.yaml", "search": self.options.to_yaml()}
        return yaml_text(tree) + self.sampled_yaml()

    def sampled_yaml(self) -> str:
        """The part of the space file that says what is sampled."""
        constraints = [constraint.expression.text for constraint in self.space.constraints]
        return yaml_text({"space": self.space.to_yaml(), **({"constraints": constraints} if constraints else {})})

    def base_yaml(self) -> str:
        """The config that samples are merged over, as used."""
        return dump_cfg(self.base_cfg)

    def base_values(self) -> dict[str, Any]:
        """The base config by key, without secrets, to be sent to workers; `configs.loader.cfg_of` makes it again."""
        return {name: get_value(self.base_cfg, name) for name, key in KEYS.items() if not key.is_secret}

    def total_epochs(self, settings: dict[str, Any]) -> int:
        """Returns how many epochs a trial with these settings trains, if it is not stopped."""
        return int(settings.get(TOTAL_EPOCHS, self.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS))

    def sample_cfg(self, settings: dict[str, Any]) -> CfgNode:
        """Returns the config of a sample.

        Raises:
            ConfigError: its values are legal one by one, but not together.
        """
        return merge_sample(self.base_cfg, settings)


def merge_sample(base_cfg: CfgNode, settings: dict[str, Any], sources: Mapping[str, str] | None = None) -> CfgNode:
    """Returns a config with the settings of a sample, by key, merged over it.

    Args:
        base_cfg: what they are merged over.
        settings: of the sample.
        sources: where keys are written, for messages.

    Raises:
        ConfigError: its values are illegal, one by one or together.
    """
    written = sources or {}
    return build_cfg(
        [Setting(key, value, written.get(key, "sample")) for key, value in settings.items()], base=base_cfg
    )


def make_plan(
    space_file: SpaceFile,
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
        space_file: what is sampled, and how to search.
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
    problems = Problems()
    flags: dict[str, Any] = {
        "num_samples": num_samples,
        "time_budget": time_budget,
        "cpus_per_trial": cpus_per_trial,
        "gpus_per_trial": gpus_per_trial,
    }
    options = replace(space_file.options, **{name: value for name, value in flags.items() if value is not None})

    base = _base_reader(cfg_path, space_file.base)
    from_base, from_command_line, from_environment = collect_settings(base, pairs, with_environment, problems)
    secrets = {setting.key: setting.value for setting in from_environment if KEYS[setting.key].is_secret}
    from_environment = [setting for setting in from_environment if setting.key not in secrets]
    for setting in from_command_line:
        if setting.key in _OURS:
            problems.add(f"command line: {setting.key} {_OURS[setting.key]}")
    sampled = [Setting(item.key, None, item.source) for item in space_file.items if item.key in KEYS]
    fixed = {setting.key: setting for setting in from_command_line}
    refuse_both(
        [*(setting for setting in sampled if setting.key not in fixed), *from_command_line], from_environment, problems
    )

    given = [*from_base, *space_file.constants, *from_command_line, *from_environment]
    threads = Setting("NUM_THREADS", max(1, int(options.cpus_per_trial)), "search: resources: cpu")
    if "NUM_THREADS" not in {setting.key for setting in given}:  # a trial uses the cores that it asks for
        given.insert(0, threads)
    base_cfg = _build(given, problems)
    if base_cfg is None:
        raise ConfigError(problems)
    base_cfg = with_values(base_cfg, {"BEST_METRIC": options.metric, "OUTPUT_PATH": "", **_backups(options, base_cfg)})
    notes = overruled([threads, *from_base], [setting for setting in from_environment if setting.key not in _OURS])
    sources = sources_of(given)
    notes += announced(base_cfg.USER_MODULES, sources.get("USER_MODULES", ""))
    notes += [
        f"{key} is fixed to {setting.value} by the command line and not sampled"
        for key, setting in fixed.items()
        if any(item.key == key and not isinstance(item, Constant) for item in space_file.items)
    ]
    space = _build_space(space_file, base_cfg, fixed, notes, problems)
    if problems:
        raise ConfigError(problems)
    problems += misfits(space_file, options, space, base_cfg)
    if problems:
        raise ConfigError(problems)
    is_bounded = options.scheduler_spec.is_population
    points, start = read_start(options.start, space, space_file.branches, fixed, notes, problems, is_bounded)
    if problems:
        raise ConfigError(problems)
    options = replace(options, start=points)
    if len(start) > options.num_samples:
        notes.append(f"start has {len(start)} points, of which num_samples {options.num_samples} are trained")
    options = decide_confirm(options, space)
    in_file = [item.key for item in space_file.items]
    options = replace(options, kinds=kinds_of_space(space, options, in_file, problems))
    if problems:
        raise ConfigError(problems)
    notes += remarks(options, space, base_cfg)
    return SearchPlan(space_file.path.stem, base_cfg, options, space, start, tuple(notes), secrets, sources)


def decide_confirm(options: SearchOptions, space: Space) -> SearchOptions:
    """Returns the options with `confirm: auto` on or off.

    It is on where the best of so many samples may owe its place to luck, and there is a reference to tell it by.
    """
    if options.confirm is None or not options.confirm.is_auto:
        return options
    samples = options.num_samples if space.size is None else min(space.size, options.num_samples)
    is_on = options.reference and samples >= AUTO_SAMPLES
    return replace(options, confirm=replace(options.confirm, is_on=is_on))


def problems_beside(space_path: str | Path, cfg_path: str | Path | None, pairs: Sequence[str]) -> Problems:
    """Returns what is wrong beside a space file: in its base, on the command line, in the environment.

    Args:
        space_path: of the space file.
        cfg_path: replaces its base.
        pairs: KEY, VALUE, KEY, VALUE ... from the command line.
    """
    problems = Problems()
    try:
        for settings in collect_settings(_base_reader(cfg_path, base_of(space_path)), pairs, True, problems):
            for setting in settings:
                read_setting(setting, problems)
    except ConfigError as error:  # the base cannot be read
        return error.problems
    return problems


def _base_reader(cfg_path: str | Path | None, base: NamedFile | None) -> Callable[[], YamlMap] | None:
    """Returns what reads the base: the file of the command line, or the one that the space file names."""
    if cfg_path:
        return partial(read_yaml, cfg_path)
    return base.read if base else None


def _build_space(
    space_file: SpaceFile,
    base_cfg: CfgNode,
    fixed: Mapping[str, Setting],
    notes: list[str],
    problems: Problems,
) -> Space:
    """Returns what is left to be sampled, checked against the base config."""

    def default(key: str) -> Any:
        return plain(get_value(base_cfg, key)) if key in KEYS else None

    sources = {item.key: item.source for item in space_file.items}

    def contradictions(point: Point) -> list[str]:
        try:
            merge_sample(base_cfg, point.settings, sources)
        except ConfigError as error:
            return [*map(str, error.problems)]
        return []

    items = fix_keys(space_file.items, {key: default(key) for key in fixed}, default, notes, problems)
    try:
        return Space(items, space_file.constraints, default, contradictions)
    except ConfigError as error:
        problems += error.problems
        return Space([])


def _build(settings: list[Setting], problems: Problems) -> CfgNode | None:
    try:
        return build_cfg(settings)
    except ConfigError as error:
        problems += error.problems
        return None


def _backups(options: SearchOptions, base_cfg: CfgNode) -> dict[str, Any]:
    """A population takes over weights from backups; a trial may be one interval ahead of those who take its weights."""
    if not options.scheduler_spec.is_population:
        return {}
    needed = options.scheduler_options["perturbation_interval"] + 1
    return {"MODEL_BACKUPS": max(needed, base_cfg.MODEL_BACKUPS or 0)}
