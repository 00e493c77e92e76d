"""What is wrong, or worth knowing, between the parts of a plan, each of which is right by itself."""

import numpy as np
from yacs.config import CfgNode

from configs.consistency import unknown_part
from configs.defaults import KEYS
from configs.errors import ConfigError, Problems
from configs.legal import Part
from configs.metric_names import SHARES
from configs.tree import get_value
from search.space.conditions import describe
from search.space.distributions import Choice
from search.space.items import TOTAL_EPOCHS, Constant, Parameter, is_branching
from search.space.kinds import BACKBONE, is_chosen
from search.space.options import LARGEST_GRID, SearchOptions
from search.space.space import DRAWN, Space
from search.space.space_file import SpaceFile


def misfits(space_file: SpaceFile, options: SearchOptions, space: Space, base_cfg: CfgNode) -> Problems:
    """Returns what is wrong between the parts of a plan."""
    path = str(space_file.path)
    problems = Problems()
    if all(is_branching(parameter) and parameter.distribution.size == 1 for parameter in space.parameters):
        problems.add("every key that is sampled is fixed or switched off; nothing is left to search", source=path)
    if base_cfg.RESUME_PATH:
        problems.add("RESUME_PATH has no place in a search; it is for a single run")
    if not base_cfg.USER_MODULES:
        for source, key, name in named_parts(space):
            if problem := unknown_part(KEYS[key], name):
                problems.add(problem, source=source)
    if options.scheduler_spec.compares_epochs:
        problems += _unfit_for_early_stopping(options, space, base_cfg)
    if options.scheduler_spec.is_population:
        problems += _unfit_for_population(options, space, base_cfg)
    if not problems:
        problems += _without_samples(path, options, space)
    if options.sampler_spec.numbers_only and not _numbers_always_active(space):
        problems.add(
            f"sampler {options.sampler.name} samples numbers that are active in every trial, of which there are none "
            "here (those in branches, or with `when`, are not); use tpe",
            source=options.sources["sampler"],
        )
    return problems


def _unfit_for_early_stopping(options: SearchOptions, space: Space, base_cfg: CfgNode) -> Problems:
    """Returns what a scheduler cannot do that compares trials after equally many epochs."""
    name, problems = options.scheduler.name, Problems()
    for item in space.items:
        if item.key == TOTAL_EPOCHS:
            problems.add(
                f"{TOTAL_EPOCHS} cannot be searched under {name}, which compares trials by their epoch; give it one "
                "value or use scheduler: none",
                source=item.source,
            )
    problems += _misplaced_rungs(options, base_cfg)
    return problems


def _misplaced_rungs(options: SearchOptions, base_cfg: CfgNode) -> Problems:
    """Returns which rungs lie behind the end of a training, or contradict each other."""
    name, chosen, where = options.scheduler.name, options.scheduler_options, options.sources.get("scheduler", "")
    problems = Problems()
    rungs, grace = chosen.get("rungs"), options.scheduler.options.get("grace_period")
    if rungs is not None and len(set(rungs)) != len(rungs):
        problems.add(f"{name}: rungs {list(rungs)} has an epoch twice", source=where)
    if rungs and grace not in (None, rungs[0]):
        problems.add(
            f"{name}: grace_period {grace} is the epoch of the first rung, which rungs says is {rungs[0]}; remove one "
            "of them",
            source=where,
        )
    last = {TOTAL_EPOCHS: base_cfg.MODEL.SOLVER.TOTAL_EPOCHS}
    if "max_t" in chosen:
        last["max_t"] = chosen["max_t"]
    word, first = ("the first of rungs", rungs[0]) if rungs else ("grace_period", chosen.get("grace_period", 0))
    for of, epochs in last.items():
        if first > epochs:
            problems.add(
                f"{name}: {word} {first} is more than {of} {epochs}; no trial would ever be stopped", source=where
            )
    return problems


def _without_samples(path: str, options: SearchOptions, space: Space) -> Problems:
    """Returns why there are no samples that can be trained, too many to try all, or none of a line of the space."""
    problems = Problems()
    if options.sampler_spec.tries_all and space.size is None:
        endless = [parameter.key for parameter in space.parameters if parameter.distribution.size is None]
        why = f"there are more than {LARGEST_GRID}; use another sampler"
        if endless:
            why = f"{', '.join(endless)} has no end of values; use choice, quniform or qrandint there"
        problems.add(
            f"sampler {options.sampler.name} tries all combinations, but {why}", source=options.sources["sampler"]
        )
    elif space.parameters:
        try:
            _find_one(space)
        except ConfigError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    if not problems:
        for item in space.unreachable():
            problems.add(
                f"{item.key}: {describe(item.conditions)} holds in none of {DRAWN} random samples that can be trained; "
                "correct it, the constraints or what is derived",
                source=item.source,
            )
    return problems


def _numbers_always_active(space: Space) -> list[str]:
    """Returns the keys of numbers that are active in every sample."""
    return [item.key for item in space.parameters if not isinstance(item.distribution, Choice) and not item.conditions]


def _find_one(space: Space) -> None:
    """Looks for a sample that can be trained.

    Raises:
        ConfigError: there is none, or it is rarer than one in many.
    """
    if space.size is not None and any(not space.problems(point) for point in space.points()):
        return
    space.feasible_point(np.random.default_rng(0))


def _unfit_for_population(options: SearchOptions, space: Space, base_cfg: CfgNode) -> Problems:
    """Returns what pbt and pb2 cannot do: change what a model in training cannot take up."""
    name, where = options.scheduler.name, options.sources["scheduler"]
    changing = [key for key, declared in KEYS.items() if declared.can_change]
    problems = Problems()
    for item in space.items:
        if item.conditions or item.key not in KEYS:
            problems.add(source=item.source, message=f"{item.key}: {name} knows no branches and no `when`; use asha")
        elif item.key not in changing:
            problems.add(
                source=item.source,
                message=f"{item.key} cannot change in a model that is trained, as {name} would do; give it one "
                f"value. Keys that can: {', '.join(key for key in changing if '.AUGMENTATION.' not in key)}, and "
                "those under DATASET.AUGMENTATION",
            )
        elif name == "pb2" and isinstance(item, Parameter) and isinstance(item.distribution, Choice):
            problems.add(source=item.source, message=f"{item.key}: pb2 takes ranges of numbers, no choice; use pbt")
    schedule = base_cfg.MODEL.SOLVER.SCHEDULER.NAME
    if schedule != "unchange" and any(item.key.endswith("BASE_LR") for item in space.items):
        problems.add(
            source=where,
            message=f"{name} makes a schedule of BASE_LR itself; MODEL.SOLVER.SCHEDULER.NAME is {schedule}, set it to "
            "unchange",
        )
    interval = options.scheduler_options["perturbation_interval"]
    if interval >= base_cfg.MODEL.SOLVER.TOTAL_EPOCHS:
        problems.add(source=where, message=f"{name}: perturbation_interval {interval} is not below {TOTAL_EPOCHS}")
    if space.size is not None and space.size < options.num_samples:
        problems.add(
            source=where,
            message=f"{name} trains {options.num_samples} trials, but the space has {space.size} combinations",
        )
    if options.num_samples < 2:
        problems.add(
            source=where, message=f"{name} takes a population of two or more: num_samples is {options.num_samples}"
        )
    return problems


def slips(options: SearchOptions, space: Space, base_cfg: CfgNode) -> Problems:
    """Returns what can be searched, but is surely not meant; a search that has begun so may go on."""
    problems = _misnamed_branches(space, base_cfg)
    beats = options.notify.beats if options.notify else None
    for word, name, goal in (("stop", "target", options.stop.target), ("notify", "beats", beats)):
        if options.metric in SHARES and goal is not None and goal > 1:
            problems.add(
                f"{word}: {name} is {goal:g}, which no trial reaches: {options.metric} is a share, from 0 to 1",
                source=options.sources[word],
            )
    return problems


def _misnamed_branches(space: Space, base_cfg: CfgNode) -> Problems:
    """Returns which branches are called as a part, and would train another: they do not give its NAME."""
    problems = Problems()
    for node in filter(is_branching, space.parameters):
        key = f"{node.key}.NAME"
        rule = KEYS[key].rule if key in KEYS else None
        named = [dict(item.branch).get(node.key) for item in space.items if item.key == key]
        if not isinstance(rule, Part) or None in named:  # an item outside the branches gives it
            continue
        for branch in node.distribution.values():
            if branch in rule.names and branch not in named and get_value(base_cfg, key) != branch:
                problems.add(
                    f"{node.key}: the branch {branch} does not give NAME, so that its trials would train with "
                    f"{get_value(base_cfg, key)}, which is set outside it; write NAME: {branch} in it",
                    source=node.source,
                )
    return problems


def named_parts(space: Space) -> list[tuple[str, str, str]]:
    """Returns the parts that choices, branches and conditions of a space name: where, the key, and the name."""
    named = []
    for item in space.items:
        if item.key in KEYS and isinstance(KEYS[item.key].rule, Part):
            if isinstance(item, Parameter) and isinstance(item.distribution, Choice):
                named += [(item.source, item.key, name) for name in item.distribution.values()]
            elif isinstance(item, Constant):
                named.append((item.source, item.key, item.value))
        for condition in item.when:
            if condition.key in KEYS and isinstance(KEYS[condition.key].rule, Part):
                named += [(item.source, condition.key, name) for name in condition.values]
    return named


def remarks(options: SearchOptions, space: Space, base_cfg: CfgNode) -> list[str]:
    """Returns what people should know before the search starts."""
    notes = []
    total_epochs = base_cfg.MODEL.SOLVER.TOTAL_EPOCHS
    max_t = options.scheduler_options.get("max_t", total_epochs)
    if max_t < total_epochs:
        notes.append(
            f"max_t {max_t} ends every trial {total_epochs - max_t} epochs before {TOTAL_EPOCHS} {total_epochs}: its "
            "learning-rate schedule, which spans them all, will be cut off, and best.yaml trains on to the end of it, "
            "as the reference does"
        )
    elif max_t > total_epochs:
        notes.append(f"max_t {max_t} has no effect: trials end at {TOTAL_EPOCHS} {total_epochs}")
    by_chance = {item.key: None for item in space.parameters if item.key not in _numbers_always_active(space)}
    if options.sampler_spec.numbers_only and by_chance:
        notes.append(
            f"sampler {options.sampler.name} samples what is a number and always active; at random: "
            f"{', '.join(by_chance)}"
        )
    if options.reference and any(point.values is None for point in options.start):
        notes.append("start: defaults trains the base config as a sample too, beside the reference")
    if options.scheduler_spec.compares_epochs and not options.can_have_kinds and is_chosen(BACKBONE, space):
        notes.append(
            f"{options.scheduler_title} compares trials of different {BACKBONE} after few epochs, whatever their "
            "speed; "
            "type: promotion, hyperband and median compare them by whole trainings (search: kinds)"
        )
    if space.size is not None and space.size < options.num_samples:
        notes.append(f"the space has {space.size} combinations; the search ends when all are tried")
    return notes
