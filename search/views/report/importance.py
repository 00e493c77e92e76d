"""Which keys mattered: PED-ANOVA over values that can be compared.

All values are of one epoch, the last that enough samples have trained: a mixture of early and late epochs would rank
whatever the scheduler let through. Optuna's evaluator (Watanabe et al. 2023) looks at what sets the best quarter of the
trials apart. Keys of a branch are looked at within it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from configs.metric_names import direction
from search.analysis import FoundSearch
from search.record.history import TrialRecord
from search.space.items import Parameter
from search.views.describe import describe_conditions

QUANTILE = 0.25  # of the trials, the best
RESAMPLES = 20
FEWEST = 12  # trials from which anything is said
WIDEST = 0.5  # of an interval from which something can be told


@dataclass(frozen=True)
class Importance:
    """How much a key matters.

    Attributes:
        key: of the config.
        name: of the parameter, which tells one of a branch from that of another.
        share: of the importance of all keys, or of those of its branch, from 0 to 1; the median over resamples of the
            trials.
        low: the tenth percentile of the share over resamples of the trials.
        high: the ninetieth.
        trials: of how many it is.
        branch: within which it is; empty: it is in all trials.
    """

    key: str
    name: str
    share: float
    low: float
    high: float
    trials: int
    branch: str = ""

    @property
    def can_be_told(self) -> bool:
        """Whether there are trials enough to say it."""
        return not self.why_not

    @property
    def why_not(self) -> str:
        """Why it cannot be told; empty if it can."""
        if self.trials < FEWEST:
            return f"cannot be told from {self.trials} trials"
        return "cannot be told: the interval is too wide" if self.high - self.low > WIDEST else ""


def importances(found: FoundSearch) -> tuple[int, list[Importance]]:
    """Returns the epoch whose values are compared, and how much each sampled key matters, the most first.

    There are none where no two samples have trained an epoch.
    """
    epoch = found.comparable_epoch()
    records = [record for record in found.history.samples() if len(record.rows) >= epoch > 0]
    found_ones: list[Importance] = []
    branches = {parameter.conditions: None for parameter in found.plan.space.parameters}
    for conditions in branches:
        inside = [one for one in records if all(condition.holds(one.params) for condition in conditions)]
        keys = [
            parameter
            for parameter in found.plan.space.parameters
            if set(parameter.conditions) <= set(conditions) and all(parameter.is_within(one.params) for one in inside)
        ]
        shares = _shares(inside, keys, found.plan.options.metric, epoch)
        branch = describe_conditions(conditions)
        for parameter in keys:
            if parameter.conditions == conditions and parameter.name in shares:
                share, low, high = shares[parameter.name]
                found_ones.append(Importance(parameter.key, parameter.name, share, low, high, len(inside), branch))
    return epoch, sorted(found_ones, key=lambda one: -one.share)


def _shares(
    records: Sequence[TrialRecord], parameters: Sequence[Parameter], metric: str, epoch: int
) -> dict[str, tuple[float, float, float]]:
    """Returns share, low and high of each parameter by its name."""
    if len(records) < 2 or len(parameters) < 2:  # one alone has all of the importance, whatever it does
        return {}
    whole = _evaluated(records, parameters, metric, epoch)
    rng = np.random.default_rng(0)
    drawn = [[records[one] for one in rng.integers(0, len(records), len(records))] for _ in range(RESAMPLES)]
    again = [_evaluated(sample, parameters, metric, epoch) for sample in drawn]
    shares = {}
    for name in whole:
        low, median, high = np.percentile([one.get(name, 0.0) for one in again], [10, 50, 90])
        shares[name] = (float(median), float(low), float(high))
    return shares


def _evaluated(
    records: Sequence[TrialRecord], parameters: Sequence[Parameter], metric: str, epoch: int
) -> dict[str, float]:
    """Returns the share of each parameter by its name; of values that are all alike, none."""
    import optuna  # here: it takes half a second
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState, create_trial

    def value_of(record: TrialRecord, parameter: Parameter) -> Any:
        return parameter.distribution.encode(record.params_at(epoch)[parameter.key])

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is said in our own words what cannot be told
        study = optuna.create_study(direction=direction(metric))
        study.add_trials(
            [
                create_trial(
                    state=TrialState.COMPLETE,
                    params={one.name: value_of(record, one) for one in parameters},
                    distributions={one.name: one.distribution.to_optuna() for one in parameters},
                    value=record.rows[epoch - 1][metric],
                )
                for record in records
            ]
        )
        try:
            found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=QUANTILE))
        except (ValueError, RuntimeError):  # all values are alike, or so few that no best quarter stands out
            return {}
    return {name: float(share) for name, share in found.items()}
