"""The plan that a search was begun with, and what may be another when it is resumed."""

from dataclasses import replace
from typing import Any

import yaml

from configs.errors import ConfigError
from configs.loader import FREE_ON_RESUME, as_begun, differences
from search.folder import SearchFolder
from search.plan import SearchPlan, decide_confirm, make_plan
from search.space.options import SearchOptions
from search.space.space_file import read_space

# Words that older versions did not know, and what these versions did.
_SINCE: dict[str, Any] = {"reference": False, "confirm": None, "kinds": ()}


def begun_plan(folder: SearchFolder) -> SearchPlan:
    """Returns the plan that a search was begun, or resumed last, with.

    Raises:
        ConfigError: space.yaml or base.yaml cannot be read any more.
    """
    plan = make_plan(read_space(folder.space), with_environment=False)
    options = plan.options  # of a folder that an older version has written: with what that version did
    options = replace(options, **{word: value for word, value in _SINCE.items() if word not in options.sources})
    return replace(plan, name=folder.path.name, options=options)


def resumed_plan(folder: SearchFolder, before: SearchPlan, now: SearchPlan) -> SearchPlan:
    """Returns the plan with which a search is resumed.

    Args:
        folder: of the search.
        before: what it was begun with.
        now: what the command says now.

    Raises:
        ConfigError: something has changed that cannot.
    """
    now = replace(now, base_cfg=as_begun(before.base_cfg, now.base_cfg, now.sources))
    own = [item.key for plan in (before, now) for item in plan.space.items]  # of the trials, each with its value
    changed = differences(before.base_cfg, now.base_cfg, (*FREE_ON_RESUME, "BEST_METRIC", *own))
    now = replace(now, options=decide_confirm(_kept(before.options, now.options), now.space))
    old, new = before.options.science(), now.options.science()
    others = {
        word: f"{word} was {_in_yaml(old[word])} and is {_in_yaml(new[word])} now"
        for word in old
        if new[word] != old[word]
    }
    is_population = before.options.scheduler_spec.is_population or now.options.scheduler_spec.is_population
    changed += [text for word, text in others.items() if word == "seed" or is_population]
    has_new_space = now.sampled_yaml() != before.sampled_yaml()
    if now.options.scheduler_spec.is_population:
        if now.options.num_samples != before.options.num_samples:
            changed.append(f"the population has {now.options.num_samples} trials (num_samples)")
        if has_new_space:
            changed.append("the population searches another space")
    if changed:
        raise ConfigError(
            f"{folder.path}: a search is resumed as it was, but {'; '.join(changed)}; undo that, or start a new search "
            "without --resume"
        )
    notes = (*now.notes, *others.values())
    if "scheduler" in others or "kinds" in others or "metric" in others:
        notes = (*notes, "trials that have ended count as they are, and those that wait take their place anew")
    if now.options.sampler_spec.keeps_pickles:
        notes = (
            *notes,
            f"Optuna unpickles the state of {now.options.sampler.name} from {folder.events}: resume only searches that "
            "you trust",
        )
    if has_new_space:
        notes = (*notes, "the space has changed: trials that fit it count for the sampler, the others are only kept")
    return replace(now, name=folder.path.name, notes=notes, earlier=before.options)


def _in_yaml(value: Any) -> str:
    """Returns an option on one line, as a space file writes it."""
    return str(yaml.safe_dump(value, default_flow_style=True, width=10**9)).splitlines()[0]


def _kept(before: SearchOptions, now: SearchOptions) -> SearchOptions:
    """Returns the options with what the search was begun with where the command now does not say another."""
    kept = {word: getattr(before, word) for word in _SINCE if word not in now.sources}
    own = {word: value for word, value in before.scheduler.options.items() if word != "rungs"}
    if replace(before.scheduler, options=own) == now.scheduler:  # which does not say where the rungs stand
        kept["scheduler"] = before.scheduler
    return replace(now, **kept)
