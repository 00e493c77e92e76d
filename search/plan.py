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
from configs.explain import explain, keys_named
from configs.loader import build_cfg, collect_settings, overruled, read_setting, sources_of, with_values
from configs.settings import Setting, refuse_both
from configs.tree import get_value, plain
from configs.user_modules import announced
from configs.yaml_file import YamlMap, read_yaml, yaml_text
from search.engine.schedulers.scheduler import build_scheduler
from search.plan_checks import misfits, remarks
from search.space.fixing import fix_keys
from search.space.items import TOTAL_EPOCHS, Constant, Derived, Item, Parameter
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
        given: all settings of the base config, the strongest last, also those that others win over.
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
    given: tuple[Setting, ...] = field(default=(), repr=False)
    earlier: SearchOptions | None = None

    def space_yaml(self) -> str:
        """The space file as used."""
        tree = {"base": "base.yaml", "search": self.options.to_yaml()}
        return yaml_text(tree) + self.sampled_yaml()

    def sampled_yaml(self) -> str:
        """The part of the space file that says what is sampled."""
        return yaml_text(self.sampled())

    def sampled(self) -> dict[str, Any]:
        """What is sampled, as a space file writes it."""
        constraints = [constraint.expression.text for constraint in self.space.constraints]
        return {"space": self.space.to_yaml(), **({"constraints": constraints} if constraints else {})}

    def base_yaml(self) -> str:
        """The config that samples are merged over, as used."""
        return dump_cfg(self.base_cfg)

    def base_values(self) -> dict[str, Any]:
        """The base config by key, without secrets, to be sent to workers; `configs.loader.cfg_of` makes it again."""
        return {name: get_value(self.base_cfg, name) for name, key in KEYS.items() if not key.is_secret}

    def total_epochs(self, settings: dict[str, Any]) -> int:
        """Returns how many epochs a trial with these settings trains, if it is not stopped."""
        return int(settings.get(TOTAL_EPOCHS, self.base_cfg.MODEL.SOLVER.TOTAL_EPOCHS))

    @property
    def rungs(self) -> tuple[int, ...]:
        """The epochs after which trials are compared; none where the scheduler has no rungs."""
        return build_scheduler(self.options, self.space, self.total_epochs({})).rungs

    def sample_cfg(self, settings: dict[str, Any]) -> CfgNode:
        """Returns the config of a sample.

        Raises:
            ConfigError: its values are legal one by one, but not together.
        """
        return merge_sample(self.base_cfg, settings)


def explained_keys(plan: SearchPlan, name: str) -> list[str]:
    """Returns lines that say where the value of a key comes from, or of each key below a node of the tree.

    Raises:
        ConfigError: there is no such key.
    """
    lines = []
    for key in keys_named(name):
        winner = (plain(get_value(plan.base_cfg, key)), "set by the search") if key in _OURS else None
        of_base = explain(key, plan.given, winner)
        sampled = [
            _sampled_line(item) for item in plan.space.items if item.key == key and not isinstance(item, Constant)
        ]
        if sampled:  # the base has its value where none of them is active, and in the reference
            of_base[0] = f"  the base config has {of_base[0].removeprefix(f'{key}: ')}"
        lines += [*sampled, *of_base]
    return lines


def _sampled_line(item: Item) -> str:
    if isinstance(item, Parameter):
        how = f"sampled from {yaml_text(item.distribution.to_yaml(), flow=True).strip()}"
    else:
        assert isinstance(item, Derived)
        how = f"derived from {item.expression.text}"
    return f"{item.key}: {how}  ({item.source})"


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
    with_environment: bool = True,
    **flags: float | None,
) -> SearchPlan:
    """Puts a space file, the flags and the environment together.

    Args:
        space_file: what is sampled, and how to search.
        cfg_path: replaces the space file's base.
        pairs: KEY, VALUE, KEY, VALUE ... from the command line.
        with_environment: whether .env and the environment have a say.
        flags: of the command line, which replace options of the space file: num_samples, time_budget (seconds),
            cpus_per_trial, gpus_per_trial; None: not given.

    Raises:
        ConfigError: with every mistake that was found.
    """
    problems = Problems()
    given_flags: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    options = replace(space_file.options, **given_flags)
    base = _base_reader(cfg_path, space_file.base)
    given = _Given(*collect_settings(base, pairs, with_environment, problems), space_file)
    given.check(problems)
    base_cfg = _base_cfg(given, options, problems)
    notes = given.notes(base_cfg, options)
    space = _build_space(space_file, base_cfg, given.fixed, notes, problems)
    problems.check()
    problems += misfits(space_file, options, space, base_cfg)
    problems.check()
    options, start = _completed(options, space, space_file, given.fixed, notes, problems)
    notes += remarks(options, space, base_cfg)
    settings = given.settings(options)
    sources, secrets = sources_of(settings), given.secrets
    name = space_file.path.stem
    return SearchPlan(
        name, base_cfg, options, space, start, tuple(notes), secrets, sources, (*settings, *given.secret_settings)
    )


@dataclass(frozen=True)
class _Given:
    """What keys were given, and where.

    Attributes:
        base: by the base config.
        command_line: by KEY VALUE pairs.
        all_of_environment: by .env and the environment, secrets included.
        space_file: what is sampled.
    """

    base: list[Setting]
    command_line: list[Setting]
    all_of_environment: list[Setting]
    space_file: SpaceFile

    @property
    def secret_settings(self) -> list[Setting]:
        """Go into no config of the search."""
        return [setting for setting in self.all_of_environment if KEYS[setting.key].is_secret]

    @property
    def secrets(self) -> dict[str, str]:
        """The values of those, by key."""
        return {setting.key: setting.value for setting in self.secret_settings}

    @property
    def environment(self) -> list[Setting]:
        """Given by .env and the environment, without secrets."""
        return [setting for setting in self.all_of_environment if not KEYS[setting.key].is_secret]

    @property
    def fixed(self) -> dict[str, Setting]:
        """Keys that the command line gives a value, so that they are not sampled."""
        return {setting.key: setting for setting in self.command_line}

    def check(self, problems: Problems) -> None:
        """Adds which keys are given that a search sets, or in two places that contradict each other."""
        for setting in self.command_line:
            if setting.key in _OURS:
                problems.add(f"{setting.key} {_OURS[setting.key]}", source="command line")
        items = [item for item in self.space_file.items if item.key in KEYS and item.key not in self.fixed]
        sampled = [Setting(item.key, None, item.source) for item in items]
        refuse_both([*sampled, *self.command_line], self.environment, problems)

    def settings(self, options: SearchOptions) -> list[Setting]:
        """Returns all, later ones before earlier ones; a trial uses the cores that it asks for."""
        given = [*self.base, *self.space_file.constants, *self.command_line, *self.environment]
        has_threads = any(setting.key == "NUM_THREADS" for setting in given)
        return given if has_threads else [_threads(options), *given]

    def notes(self, base_cfg: CfgNode, options: SearchOptions) -> list[str]:
        """Returns what the user should know about them."""
        of_environment = [setting for setting in self.environment if setting.key not in _OURS]
        notes = overruled([_threads(options), *self.base], of_environment)
        notes += announced(base_cfg.USER_MODULES, sources_of(self.settings(options)).get("USER_MODULES", ""))
        sampled = {item.key for item in self.space_file.items if not isinstance(item, Constant)}
        return notes + [
            f"{key} is fixed to {setting.value} by the command line and not sampled"
            for key, setting in self.fixed.items()
            if key in sampled
        ]


def _threads(options: SearchOptions) -> Setting:
    return Setting("NUM_THREADS", max(1, int(options.cpus_per_trial)), "search: resources: cpu")


def _base_cfg(given: _Given, options: SearchOptions, problems: Problems) -> CfgNode:
    """Returns the config that samples are merged over; raises with all problems so far if it is illegal."""
    with problems.collecting():
        cfg = build_cfg(given.settings(options))
        return with_values(cfg, {"BEST_METRIC": options.metric, "OUTPUT_PATH": "", **_backups(options, cfg)})
    raise ConfigError(problems)


def _completed(
    options: SearchOptions,
    space: Space,
    space_file: SpaceFile,
    fixed: Mapping[str, Setting],
    notes: list[str],
    problems: Problems,
) -> tuple[SearchOptions, tuple[dict[str, Any], ...]]:
    """Returns the options with what depends on the space decided, and the values of the start points."""
    is_bounded = options.scheduler_spec.is_population
    points, start = read_start(options.start, space, space_file.branches, fixed, notes, problems, is_bounded)
    problems.check()
    if len(start) > options.num_samples:
        notes.append(f"start has {len(start)} points, of which num_samples {options.num_samples} are trained")
    options = decide_confirm(replace(options, start=points), space)
    options = replace(options, kinds=kinds_of_space(space, options, [item.key for item in space_file.items], problems))
    problems.check()
    return options, start


def decide_confirm(options: SearchOptions, space: Space) -> SearchOptions:
    """Returns the options with `confirm: auto` on or off.

    It is on where the best of so many samples may owe its place to luck, and there is a reference to tell it by.
    """
    if options.confirm is None or not options.confirm.is_auto:
        return options
    is_on = options.reference and options.samples_of(space.size) >= AUTO_SAMPLES
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
    with problems.collecting():
        return Space(items, space_file.constraints, default, contradictions)
    return Space([])


def _backups(options: SearchOptions, base_cfg: CfgNode) -> dict[str, Any]:
    """A population takes over weights from backups; a trial may be one interval ahead of those who take its weights."""
    if not options.scheduler_spec.is_population:
        return {}
    needed = options.scheduler_options["perturbation_interval"] + 1
    return {"MODEL_BACKUPS": max(needed, base_cfg.MODEL_BACKUPS or 0)}
