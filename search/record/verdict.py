"""What a search found, compared with the base config that it began with."""

from collections.abc import Sequence
from dataclasses import dataclass

from configs.metric_names import sign
from search.record.confirmation import Confirmed, half_width
from search.record.history import History
from search.record.outcomes import ENDED, State


@dataclass(frozen=True)
class Verdict:
    """How the winner of a search compares with the base.

    Attributes:
        margin: how much better the winner is than the base, in the metric; None: the two cannot be compared.
        text: the same in a sentence.
        is_base: whether the base itself is the winner.
        is_noise: whether the margin is within noise, as far as repeats tell.
    """

    margin: float | None
    text: str
    is_base: bool = False
    is_noise: bool = False


def verdict(history: History, metric: str, repeated: Sequence[Confirmed]) -> Verdict | None:
    """Returns how a search compares with its base, None if it has none to compare with.

    Args:
        history: of the search.
        metric: by which trials are compared.
        repeated: from `confirmed`, the winner first.
    """
    base = history.reference()
    if base is None:
        return None
    row = base.best(metric)
    if base.state in (State.FAILED, State.STOPPED_BY_USER) or row is None or base.state not in ENDED:
        why = f"it failed: {base.reason}" if base.state == State.FAILED else "it has not been trained to its end"
        return Verdict(None, f"nothing can be compared with the base config: {why}")
    of_base = next((one for one in repeated if one.record is base), None)
    if of_base and len(repeated) > 1:
        return _by_means(repeated, of_base, metric)
    if repeated and not of_base:  # best.yaml is the winner of the repeats
        return Verdict(
            None,
            f"{repeated[0].record.title} won; it cannot be compared with the base config, which has too few repeats",
        )
    best = history.best_trial(metric)
    assert best is not None  # the base has a result
    if best is base:
        return Verdict(0.0, _nothing_better(history, f"{metric} {row[metric]:.4f}", metric), is_base=True)
    found = best.best(metric)
    assert found is not None  # it is the best
    margin = sign(metric) * (found[metric] - row[metric])
    return Verdict(
        margin,
        f"trial {best.number} is better than the base config by {margin:.4f}: {metric} {found[metric]:.4f}, the base "
        f"{row[metric]:.4f} (single trainings, which may be luck)",
    )


def _by_means(repeated: Sequence[Confirmed], base: Confirmed, metric: str) -> Verdict:
    """Compares the winner of the repeats, which comes first, with the base."""
    winner = repeated[0]
    values = f"{metric} {base.mean:.4f} +- {base.interval:.4f} (95 %)"
    if winner is base:
        best = max(repeated[1:], key=lambda one: sign(metric) * one.mean)
        by_more = " by more than noise" if sign(metric) * (best.mean - base.mean) > 0 else ""
        return Verdict(
            0.0,
            f"no trial is better than the base config{by_more}, {values} over {len(base.values)} other "
            f"seeds; the best of them, trial {best.record.number}, has {best.mean:.4f} +- {best.interval:.4f}: "
            "best.yaml is the base",
            is_base=True,
        )
    margin = sign(metric) * (winner.mean - base.mean)
    noise = half_width(winner.values, base.values)
    weight = "more than noise" if abs(margin) > noise else "which is within noise"
    return Verdict(
        margin,
        f"trial {winner.record.number} is {'better' if margin >= 0 else 'worse'} than the base config by "
        f"{abs(margin):.4f} +- {noise:.4f} (95 %), {weight}: {metric} {winner.mean:.4f}, the base "
        f"{base.mean:.4f}, means over {len(winner.values)} other seeds",
        is_noise=abs(margin) <= noise,
    )


def _nothing_better(history: History, value: str, metric: str) -> str:
    best = history.best_sample(metric)
    rest = "no trial gave a result"
    if best is not None:
        row = best.best(metric) or {}
        rest = f"the best of them, trial {best.number}, has {row[metric]:.4f}"
    return f"no trial is better than the base config, {value}; {rest}: best.yaml is the base"
