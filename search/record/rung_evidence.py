"""What the rungs of a search were worth, as far as its own trials tell.

The base config is trained whole, whatever the rungs are. So it shows what they would have done to a config that is
known to be sensible; and of the trials that came to their end one knows whether the first rung had them in the right
order.
"""

import math
from collections.abc import Callable, Sequence

from configs.metric_names import sign
from search.record.history import History, TrialRecord
from search.record.outcomes import State

FEWEST = 8  # trials to say something of
SURE = 2.0  # standard errors of a rank correlation of nothing

ADVICE = "compare trials later: set a later first rung (grace_period, or rungs), or scheduler: none"


def rung_evidence(
    history: History, metric: str, rungs: Sequence[int], factor: float, kind_of: Callable[[TrialRecord], str]
) -> str | None:
    """Returns a sentence on the rungs, None where there are none or the trials do not tell.

    Args:
        history: of the search.
        metric: by which trials are compared.
        rungs: the epochs after which they are.
        factor: one of so many goes on from a rung.
        kind_of: returns the kind of a trial; those of one kind alone are compared.
    """
    whole = [one for one in history.candidates() if one.state == State.DONE and one.rows]
    for rung in rungs:
        held = _held_back(history, whole, metric, rung, factor, kind_of)
        if held:
            return held
    return _order_of_whole(whole, metric, rungs[0]) if rungs else None


def _held_back(
    history: History,
    whole: Sequence[TrialRecord],
    metric: str,
    rung: int,
    factor: float,
    kind_of: Callable[[TrialRecord], str],
) -> str | None:
    """Says that a rung would have stopped the base, which was good in the end."""
    base = history.reference()
    if base is None or base not in whole or len(base.rows) < rung:
        return None
    compared = [one for one in history.samples() if len(one.rows) >= rung and kind_of(one) == kind_of(base)]
    if len(compared) < FEWEST or len(whole) < 3:
        return None
    early = 1 + sum(sign(metric) * (one.rows[rung - 1][metric] - base.rows[rung - 1][metric]) > 0 for one in compared)
    late = 1 + sum(sign(metric) * (_end(one, metric) - _end(base, metric)) > 0 for one in whole)
    if early <= math.ceil((len(compared) + 1) / factor) or late > (len(whole) + 1) / 2:
        return None
    return (
        f"rungs may have held back what is good: after epoch {rung} the base config was in place {early} of "
        f"{len(compared) + 1}, where one in {factor:g} goes on, and in place {late} of the {len(whole)} that were "
        f"trained whole; {ADVICE}"
    )


def _order_of_whole(whole: Sequence[TrialRecord], metric: str, rung: int) -> str | None:
    """Says whether the first rung had those that were trained whole in the order of their ends."""
    if len(whole) < FEWEST:
        return None
    early = [sign(metric) * one.rows[rung - 1][metric] for one in whole]
    late = [sign(metric) * _end(one, metric) for one in whole]
    from scipy.stats import spearmanr  # here: it takes a third of a second

    if len(set(early)) == 1 or len(set(late)) == 1:
        return None
    correlation = float(spearmanr(early, late).statistic)
    if abs(correlation) <= SURE / math.sqrt(len(whole) - 1):
        return None
    told = f"(rank correlation {correlation:.2f} of the {len(whole)} that were trained whole)"
    if correlation > 0:
        return f"rungs could tell: who was ahead after epoch {rung} was ahead at the end {told}"
    return f"rungs may have misled: who was ahead after epoch {rung} was behind at the end {told}; {ADVICE}"


def _end(record: TrialRecord, metric: str) -> float:
    return float((record.best(metric) or {})[metric])
