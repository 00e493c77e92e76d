"""The methods that search_quality.py compares: ours, and those of Ray Tune, Optuna and Syne Tune.

Ours are decided by the object that decides in `search.run` (search/engine/controller.py); those of others are driven as
their own tuners drive them. Syne Tune's are there where it is installed (pip install syne-tune).
"""

import importlib.util
from collections.abc import Callable
from datetime import datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import optuna

from benchmarks.curve_table import Params, Table, TaskSpace, is_active
from search.engine.controller import Controller
from search.engine.schedulers.scheduler import Decision
from search.record.events import SearchStarted
from search.record.outcomes import Outcome
from search.space.distributions import Choice, Distribution, FloatRange, IntRange
from search.space.items import Condition, Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space

METRIC, ENDLESS = "val_score", 10**9

Make = Callable[[Table, int, int], "Method"]  # of a table, a seed and so many workers


def ask(space: TaskSpace, trial: optuna.Trial) -> None:
    """Asks Optuna for the values of a configuration, one after the other: a space that is defined by run."""
    for name, spec in space.items():
        if not is_active(spec, trial.params):
            continue
        if spec["kind"] == "choice":
            trial.suggest_categorical(name, spec["values"])
        else:
            suggest = trial.suggest_int if spec["kind"] == "int" else trial.suggest_float
            suggest(name, spec["low"], spec["high"], log=spec["log"])


class Method(Protocol):
    """What proposes configurations and decides how long they are trained."""

    def suggest(self, trial: str) -> tuple[int, Params | None] | None:
        """Returns number and values of the trial to be trained (on), None for the base's; None if there is none."""

    def report(self, trial: str, epoch: int, value: float) -> bool:
        """Takes an epoch's value and returns whether the trial goes on."""


class OurMethod:
    """Ours, whose trials may be promoted after they have waited."""

    def __init__(self, controller: Controller, epochs: int, workers: int):
        controller.begin(SearchStarted(), workers)
        self._controller, self._epochs = controller, epochs
        self._numbers: dict[str, int] = {}

    def suggest(self, trial: str) -> tuple[int, Params | None] | None:
        record = self._controller.next_trial()
        if record is None:
            return None
        self._numbers[trial] = record.number
        return record.number, None if record.is_reference else record.params

    def report(self, trial: str, epoch: int, value: float) -> bool:
        number = self._numbers[trial]
        goes_on = self._controller.report(number, {METRIC: value, "epoch": epoch}) == Decision.CONTINUE
        if goes_on and epoch == self._epochs:
            self._controller.end(number, Outcome.FINISHED)
        return goes_on and epoch < self._epochs


class RayMethod:
    """A searcher and a scheduler of Ray Tune, driven as Ray's controller drives them."""

    def __init__(self, searcher: Any, scheduler: Any, epochs: int):
        self._searcher, self._scheduler, self._epochs = searcher, scheduler, epochs
        self._trials: dict[str, Any] = {}

    def suggest(self, trial: str) -> tuple[int, Params] | None:
        config = self._searcher.suggest(trial)
        if not isinstance(config, dict):
            return None
        self._trials[trial] = SimpleNamespace(trial_id=trial, config=config)
        self._scheduler.on_trial_add(None, self._trials[trial])
        return len(self._trials) - 1, config

    def report(self, trial: str, epoch: int, value: float) -> bool:
        result = {METRIC: value, "epoch": epoch, "training_iteration": epoch}
        known = self._trials[trial]
        decision = self._scheduler.on_trial_result(None, known, result)
        if epoch < self._epochs and decision == "CONTINUE":
            self._searcher.on_trial_result(trial, result)
            return True
        self._scheduler.on_trial_complete(None, known, result)
        self._searcher.on_trial_complete(trial, result)
        return False


class OptunaMethod:
    """Optuna alone, with a pruner."""

    def __init__(self, table: Table, seed: int, pruner: optuna.pruners.BasePruner):
        sampler = optuna.samplers.TPESampler(seed=seed)
        self._study = optuna.create_study(
            direction="maximize", sampler=sampler, pruner=pruner, study_name=str(seed)
        )  # the pruner draws its brackets by the name
        self._space, self._epochs = table.space, table.epochs
        self._trials: dict[str, optuna.Trial] = {}

    def suggest(self, trial: str) -> tuple[int, Params]:
        asked = self._trials[trial] = self._study.ask()
        ask(self._space, asked)
        return asked.number, asked.params

    def report(self, trial: str, epoch: int, value: float) -> bool:
        asked = self._trials[trial]
        asked.report(value, epoch)
        if epoch < self._epochs and not asked.should_prune():
            return True
        is_pruned = epoch < self._epochs
        self._study.tell(asked, None if is_pruned else value, optuna.trial.TrialState.PRUNED if is_pruned else None)
        return False


class SyneTuneMethod:
    """A method of Syne Tune (pip install syne-tune), driven as its tuner drives it.

    Args:
        name: of the class in syne_tune.optimizer.baselines.
        table: the task.
        seed: of the method.
    """

    def __init__(self, name: str, table: Table, seed: int):
        from syne_tune import config_space
        from syne_tune.optimizer import baselines

        words = {(False, "float"): "uniform", (True, "float"): "loguniform", (False, "int"): "randint"}

        def domain(spec: dict[str, Any]) -> Any:
            if spec["kind"] == "choice":
                return config_space.choice(spec["values"])
            word = words.get((spec["log"], spec["kind"]), "lograndint")
            return getattr(config_space, word)(spec["low"], spec["high"])

        space = {key: domain(spec) for key, spec in table.space.items()}
        self._epochs = table.epochs
        self._scheduler = getattr(baselines, name)(
            space, METRIC, "epoch", table.epochs, do_minimize=False, random_seed=seed
        )
        self._trials: dict[str, Any] = {}

    def suggest(self, trial: str) -> tuple[int, Params] | None:
        from syne_tune.backend.trial_status import Trial

        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return None
        number = len(self._trials)
        self._trials[trial] = Trial(number, suggestion.config, datetime.now())
        self._scheduler.on_trial_add(self._trials[trial])
        return number, suggestion.config

    def report(self, trial: str, epoch: int, value: float) -> bool:
        known, result = self._trials[trial], {METRIC: value, "epoch": epoch}
        decision = self._scheduler.on_trial_result(known, result)
        if epoch < self._epochs and decision == "CONTINUE":
            return True
        if epoch == self._epochs:
            self._scheduler.on_trial_complete(known, result)
        else:
            self._scheduler.on_trial_remove(known)
        return False


class RandomSearch:
    """A searcher that knows nothing."""

    def __init__(self, table: Table, seed: int):
        self._study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        self._space = table.space

    def suggest(self, trial: str) -> Params:
        asked = self._study.ask()
        ask(self._space, asked)
        return asked.params

    def on_trial_result(self, trial: str, result: dict[str, Any]) -> None:
        """Learns nothing."""

    def on_trial_complete(self, trial: str, result: dict[str, Any]) -> None:
        """Learns nothing."""


def _ours(
    table: Table, seed: int, workers: int, sampler: str = "tpe", scheduler: str = "asha", placed: bool = True
) -> Method:
    def distribution(spec: dict[str, Any]) -> Distribution:
        if spec["kind"] == "choice":
            return Choice(tuple(spec["values"]))
        if spec["kind"] == "int":
            return IntRange("lograndint" if spec["log"] else "randint", spec["low"], spec["high"] + 1)
        return FloatRange("loguniform" if spec["log"] else "uniform", spec["low"], spec["high"])

    def conditions(spec: dict[str, Any]) -> tuple[Condition, ...]:
        return tuple(Condition(key, tuple(values)) for key, values in spec.get("when", {}).items())

    parameters = [
        Parameter(name, "", when=conditions(spec), distribution=distribution(spec))
        for name, spec in table.space.items()
    ]
    space = Space(parameters, default=table.base.get("params", {}).get)
    options = SearchOptions(
        metric=METRIC,
        seed=seed,
        num_samples=ENDLESS,
        sampler=NamedOptions(sampler, {}),
        scheduler=NamedOptions(scheduler, {"rungs": table.rungs} if placed and table.rungs else {}),
        kinds=table.kinds,
        reference=bool(table.base),
    )
    return OurMethod(Controller(space, options, table.epochs), table.epochs, workers)


def stock_asha(epochs: int) -> Any:
    """Returns Ray Tune's ASHA as it comes."""
    from ray.tune.schedulers import ASHAScheduler  # here: ours needs no Ray

    return ASHAScheduler("training_iteration", METRIC, "max", max_t=epochs)


def _stock_ray(table: Table, seed: int, workers: int) -> Method:
    from ray.tune.search.optuna import OptunaSearch

    searcher = OptunaSearch(partial(ask, table.space), METRIC, "max", seed=seed)
    return RayMethod(searcher, stock_asha(table.epochs), table.epochs)


def _random(table: Table, seed: int, workers: int) -> Method:
    from ray.tune.schedulers import FIFOScheduler

    return RayMethod(RandomSearch(table, seed), FIFOScheduler(), table.epochs)


def _random_asha(table: Table, seed: int, workers: int) -> Method:
    return RayMethod(RandomSearch(table, seed), stock_asha(table.epochs), table.epochs)


def _syne_tune(name: str, table: Table, seed: int, workers: int) -> Method:
    return SyneTuneMethod(name, table, seed)


METHODS: dict[str, Make] = {
    "ours": _ours,
    "stock_ray": _stock_ray,
    "random_asha": _random_asha,
    "random": _random,
    "optuna_median": lambda table, seed, workers: OptunaMethod(table, seed, optuna.pruners.MedianPruner()),
    "optuna_hyperband": lambda table, seed, workers: OptunaMethod(
        table, seed, optuna.pruners.HyperbandPruner(1, table.epochs, reduction_factor=3)
    ),
    "tpe_unstopped": lambda table, seed, workers: OptunaMethod(table, seed, optuna.pruners.NopPruner()),
}
COMPARED = list(METHODS)  # unless --methods says otherwise
# Our other samplers, also under asha; a search with gp takes minutes.
METHODS |= {f"ours_{name}": partial(_ours, sampler=name) for name in ("gp", "nsga2", "random")}
METHODS |= {"ours_unstopped": partial(_ours, scheduler="none", placed=False)}
METHODS |= {"ours_even_rungs": partial(_ours, placed=False)}  # as of a schedule that is not known
SYNE_TUNE = {
    "syne_tune_asha": "ASHA",
    "syne_tune_bohb": "BOHB",
    "syne_tune_bore": "ASHABORE",
    "syne_tune_cqr": "ASHACQR",
}
if importlib.util.find_spec("syne_tune"):
    METHODS |= {method: partial(_syne_tune, name) for method, name in SYNE_TUNE.items()}
    COMPARED.append("syne_tune_asha")  # the others take 4 to 100 s a run
