"""What a report says first, in words: what was searched, what was found, what it cost, what to do next."""

from collections import Counter

from configs.files import shown_path
from search.analysis import FoundSearch
from search.record.confirmation import confirmed
from search.record.events import EpochReported, SearchEnded, SearchStarted
from search.record.outcomes import State
from search.record.results import describe_winner, retrain_command
from search.record.verdict import verdict
from search.views.describe import IN_THE_END, describe, duration, short_names

_METRICS = {
    "val_score": "the mean over tasks and classes of the share of validation images classified correctly",
    "val_acc": "the share of validation images classified correctly",
    "val_loss": "the mean loss on the validation images",
}


def searched_words(found: FoundSearch) -> str:
    """Says what was searched, and how."""
    plan = found.plan
    keys = list(short_names([parameter.key for parameter in plan.space.parameters]).values())
    goal = " and ".join(plan.options.objectives)
    meaning = f" ({_METRICS[goal]})" if goal in _METRICS else ""
    names = f"{', '.join(keys[:-1])} and {keys[-1]}" if len(keys) > 1 else "".join(keys) or "nothing"
    return (
        f"The search was to try {plan.options.num_samples} samples of {names}, to improve {goal}{meaning}. Its base is "
        f"the backbone {plan.base_cfg.MODEL.BACKBONE.NAME} on the data set {plan.base_cfg.DATASET.NAME}, and a whole "
        f"training has {plan.total_epochs({})} epochs. The sampler was {plan.options.sampler.name}, the scheduler "
        f"{plan.options.scheduler.name}."
    )


def found_words(found: FoundSearch) -> list[str]:
    """Says what was found: the margin over the base first."""
    metric, history = found.plan.options.metric, found.history
    repeated = confirmed(history, metric, found.plan.options.confirms_by_cost)
    compared = verdict(history, metric, repeated)
    best = history.best_trial(metric)
    if best is None:
        return ["No trial has given a result."]
    row = best.best(metric) or {}
    words = [f"{_sentence(compared.text)}."] if compared else []
    single = "Of the single trainings, the best is" if repeated else "The best is"
    words.append(
        f"{single} {best.title} with {metric} {row[metric]:.4f} in epoch {row['epoch']}: "
        f"{describe(best.params_at(row['epoch']))}."
    )
    if repeated:
        words.append(f"{_sentence(describe_winner(repeated, metric, found.plan.options.confirms_by_cost))}.")
    evidence = found.rung_evidence()
    return [*words, f"{_sentence(evidence)}."] if evidence else words


def cost_words(found: FoundSearch) -> str:
    """Says what the search cost."""
    wall, slots, sessions = 0.0, 0, 0
    begun: float | None = None
    last = 0.0
    for event in found.history.events:
        if isinstance(event, SearchStarted):
            wall += last - begun if begun is not None else 0.0
            begun, sessions = event.time, sessions + 1
            slots = int(event.resources.get("slots", 0)) or slots
        last = event.time
    wall += last - begun if begun is not None else 0.0
    epochs = sum(isinstance(event, EpochReported) for event in found.history.events)
    trials = sum(record.seconds for record in found.history.trials.values())
    resumed = f", resumed {sessions - 1} times" if sessions > 1 else ""
    at_once = f", {slots} trials at a time" if slots else ""
    return (
        f"It took {duration(wall)}{at_once}{resumed}: {epochs} epochs in {len(found.history.trials)} trials, "
        f"{duration(trials)} of all trials together."
    )


def states_words(found: FoundSearch) -> str:
    """Says how many trials there are in each state, and how the search ended."""
    count = Counter(record.state for record in found.history.trials.values())
    ends = [event for event in found.history.events if isinstance(event, SearchEnded)]
    is_over = bool(ends) and found.history.events[-1] is ends[-1]
    names = IN_THE_END if is_over else {}
    states = ", ".join(f"{number} {names.get(state, state)}" for state, number in count.most_common())
    return f"{f'It ended: {ends[-1].reason}' if is_over else 'It has not ended yet'}. Trials: {states or 'none'}."


def next_words(found: FoundSearch) -> list[tuple[str, str]]:
    """Returns what to do next: words, and a command."""
    folder, metric = found.folder, found.plan.options.metric
    repeated = confirmed(found.history, metric, found.plan.options.confirms_by_cost)
    compared = verdict(found.history, metric, repeated)
    steps: list[tuple[str, str]] = []
    if not found.history.trials:
        return [("Nothing was trained yet: go on with the search", folder.resume_command())]
    if found.history.interrupted() or found.history.running():
        steps.append(("Trials are left that can go on: resume the search", folder.resume_command()))
    if found.history.best_trial(metric) is None:
        for record in found.history.in_state(State.FAILED)[:1]:
            config = folder.trial(record.name).config
            alone = retrain_command(config, folder.for_retraining(record.name))
            steps.append(("Run one of the trials that failed alone", alone))
        return steps
    if compared and compared.is_base:
        hint = "try ranges around what it has, more samples, or a later grace_period"
        steps.append((f"Nothing beats the base: {hint}", ""))
    elif compared and compared.is_noise:
        more = "set confirm: {top: 3, seeds: 5} under search: in the space file, and resume with it"
        steps.append((f"The margin is within noise, so repeat the best with more seeds: {more}", ""))
    best, free = shown_path(folder.best), folder.for_retraining("best")
    output = shown_path(free)
    steps += [
        ("Train the winner again", retrain_command(folder.best, free)),
        ("Check that it trains to the same numbers", f"python -m trainable.train --cfg {best} --verify"),
        (
            "Evaluate it on images that neither training nor search has seen",
            f"python -m trainable.evaluate --checkpoint {output}/best.pt --data FOLDER -o {output}-test",
        ),
        ("Predict", f"python -m trainable.predict --checkpoint {output}/best.pt --data FOLDER -o predictions.csv"),
    ]
    return steps


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
