"""Whether a sampler learns from trials that came no further than the first rung.

Where the first epochs say nothing of the later ones (nearly all trials stay at the level of chance, and a few leave
it), a sampler that believes them settles where nothing is learned. So those trials count as long as the first rung is
borne out by the trials that went on from it; docs/search_quality.md has what that is worth.
"""

from collections.abc import Sequence

from search.record.history import TrialRecord
from search.record.outcomes import State

FEWEST = 10  # trials that went on from the first rung, for a sampler to learn from them alone
FEWEST_COMPARED = 5  # of them that reached the next one, to say that the first one is borne out
BORNE_OUT = 0.3  # rank correlation


def instructive(records: Sequence[TrialRecord], metric: str, rungs: Sequence[int]) -> list[TrialRecord]:
    """Returns the trials that a sampler learns from, in the same order.

    Args:
        records: of all trials that it might learn from.
        metric: by which they are compared at rungs.
        rungs: the epochs after which they are, ascending.
    """
    further = [record for record in records if rungs and len(record.rows) > rungs[0]]
    if len(further) < FEWEST or _rank_correlation(further, metric, rungs) > BORNE_OUT:
        return list(records)
    return [one for one in records if len(one.rows) > rungs[0] or not one.rows or one.state == State.FAILED]


def _rank_correlation(records: Sequence[TrialRecord], metric: str, rungs: Sequence[int]) -> float:
    """Returns that of the values at the first rung with those at the next one, or at the end; 0 if it is not known."""
    if len(rungs) > 1:
        compared = [record for record in records if len(record.rows) >= rungs[1]]
        late = [record.rows[rungs[1] - 1][metric] for record in compared]
    else:
        compared = [record for record in records if record.state == State.DONE]
        late = [record.rows[-1][metric] for record in compared]
    early = [record.rows[rungs[0] - 1][metric] for record in compared]
    if len(compared) < FEWEST_COMPARED or len(set(early)) == 1 or len(set(late)) == 1:
        return 0.0
    from scipy.stats import spearmanr  # here: it takes a third of a second

    return float(spearmanr(early, late).statistic)
