"""What a search has found, in the lines that it ends with."""

from collections import Counter

from configs.figures import NO_MATPLOTLIB
from configs.files import shown_path
from search.analysis import FoundSearch
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.record.confirmation import Confirmed, confirmed
from search.record.events import TIME_IS_UP, SearchEnded
from search.record.history import History, TrialRecord
from search.record.outcomes import State
from search.record.pareto import objective_values, pareto_front
from search.record.results import describe_winner, retrain_command
from search.record.verdict import Verdict, verdict
from search.views.describe import IN_THE_END, describe

_ORDER = (State.DONE, State.WAITING, State.STOPPED, State.STOPPED_BY_USER, State.FAILED, State.INTERRUPTED)


def summary(found: FoundSearch, event: SearchEnded) -> list[str]:
    """Returns the lines that tell what a search has found; an empty one comes first.

    Args:
        found: the search.
        event: its end.
    """
    plan, history, folder = found.plan, found.history, found.folder
    metric = plan.options.metric
    repeated = confirmed(history, metric, plan.options.confirms_by_cost)
    compared = verdict(history, metric, repeated)
    evidence = found.rung_evidence()
    lines = [
        "",
        *_of_verdict(compared, evidence),
        f"{event.reason}: {_counts(plan, history, event)}",
        *_of_failed(history, folder),
    ]
    best = history.best_trial(metric)
    if best is None:
        return [*lines, f"no trial gave a result; see {shown_path(folder.results_csv)}"]
    lines += _of_best(plan, folder, best, repeated)
    if len(plan.options.objectives) > 1:
        lines += _of_front(plan, history, folder)
    if folder.report.exists():
        lines.append(f"report: {shown_path(folder.report)}")
    lines.append(f"all trials: {shown_path(folder.results_csv)}   their folders: {shown_path(folder.trials)}")
    output = folder.for_retraining("best")
    lines.append(f"retrain the best{_over_base(compared)}: {retrain_command(folder.best, output)}")
    if event.reason == TIME_IS_UP:
        lines.append(f"to continue for the same time again: {folder.resume_command()}")
    return lines


def _of_verdict(found: Verdict | None, evidence: str | None) -> list[str]:
    lines = [found.text] if found else []
    if found and found.is_base:
        lines.append(
            "to find a better one, try ranges around what the base has, more samples, and a later grace_period or "
            "scheduler: none, in case rungs stopped configs that learn slowly"
        )
    return [*lines, *([evidence] if evidence else [])]


def _counts(plan: SearchPlan, history: History, event: SearchEnded) -> str:
    """Returns how many trials there are in each state."""
    has_begun = [one for one in history.trials.values() if one.has_begun or one.state != State.INTERRUPTED]
    count = Counter(record.state for record in has_begun)
    parts = [f"{count[state]} {IN_THE_END.get(state, state)}" for state in _ORDER if count[state]]
    missing = plan.options.num_samples - sum(record.is_sample for record in has_begun)
    if missing > 0 and not event.is_exhausted:
        parts = [*(parts or ["no trial was started"]), f"{missing} not started"]
    return ", ".join(parts or ["no trial was started"])


def _of_failed(history: History, folder: SearchFolder) -> list[str]:
    """Says how the first trial that has failed is run alone."""
    for record in history.in_state(State.FAILED):
        config = folder.trial(record.name).config
        if config.exists():  # else it had not come so far
            alone = retrain_command(config, folder.for_retraining(record.name))
            return [f"run trial {record.number}, which failed, alone: {alone}"]
    return []


def _of_best(plan: SearchPlan, folder: SearchFolder, best: TrialRecord, repeated: list[Confirmed]) -> list[str]:
    metric = plan.options.metric
    row = best.best(metric) or {}
    label = "best of the single trainings" if repeated else "best"
    value = f"{metric} {row[metric]:.4f} in epoch {row['epoch']}"
    lines = [f"{label}: {best.title}, {value}: {describe(best.params_at(row['epoch']))}"]
    if repeated:
        told = describe_winner(repeated, metric, plan.options.confirms_by_cost)
        lines.append(f"{told}; all repeats: {shown_path(folder.confirmation)}")
    return lines


def _of_front(plan: SearchPlan, history: History, folder: SearchFolder) -> list[str]:
    objectives = plan.options.objectives
    front = pareto_front(history.candidates(), objectives)
    picture = " and .png" if folder.pareto_picture.exists() else f" (no picture: {NO_MATPLOTLIB})"
    lines = [f"Pareto front: {len(front)} trials, in {shown_path(folder.pareto_csv)}{picture}"]
    for record in front:
        values = zip(objectives, objective_values(record, objectives), strict=True)
        which = "the base " if record.is_reference else f"trial {record.number:>3}"
        lines.append(f"  {which}  {'  '.join(f'{name} {value:.5g}' for name, value in values)}")
    return lines


def _over_base(found: Verdict | None) -> str:
    if found and found.is_base:
        return ", which is the base"
    if found and found.is_noise:
        return ", which cannot be told from the base"
    if found and found.margin is not None:
        return f", {abs(found.margin):.4f} {'better' if found.margin >= 0 else 'worse'} than the base"
    return ""
