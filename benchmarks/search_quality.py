"""Search quality: how near the best known configuration comes, at equal cost, by our search and by others.

python benchmarks/search_quality.py [--tables DIR] [--seeds 30] [--json out.json] [--methods ours stock_ray]

Recorded learning curves are replayed in virtual time by four workers, for the cost of 20 full trainings, or of four for
each kind where a table has kinds. Ours are decided by the object that decides in `search.run`
(search/engine/controller.py); those of others are driven in the same way (Syne Tune's where it is installed: pip
install syne-tune). A configuration that is proposed is looked up as the nearest recorded one that this run has not used
yet, in the unit cube, among those of the same choices. `record_curves.py` records more.

Regret is that of the best value reported so far, after a quarter, a half and all of the cost: 0 is the best recorded
configuration, 100 the median one, each by the best epoch of its curve. Rank is by the regret at the end, 1 the best of
all methods, meaned over tasks and seeds.
"""

import argparse
import heapq
import importlib.util
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core, below

import numpy as np
import optuna
import pyarrow.parquet as pq
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import rankdata

from search.engine.controller import Controller
from search.engine.schedulers.scheduler import Decision
from search.record.events import SearchStarted
from search.record.outcomes import Outcome
from search.space.distributions import Choice, Distribution, FloatRange, IntRange
from search.space.items import Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space

WORKERS = 4
FULL_TRAININGS = 20  # cost of a run
TRAININGS_PER_KIND = 4  # cost of a run where a table has kinds
PARTS = {"regret_quarter": 0.25, "regret_half": 0.5, "regret_full": 1.0}
METRIC, ENDLESS = "val_score", 10**9

Params = dict[str, Any]


class Table:
    """The recorded configurations of a task.

    Attributes:
        space: kind, low, high and log of each hyperparameter; of a choice, kind and values.
        kinds: the choices whose values learn at different speeds, as `search: kinds` names them.
        points: the configurations in the unit cube, of shape (configurations, hyperparameters).
        curves: the metric, higher is better, of shape (configurations, epochs).
        cost: of one epoch, of shape (configurations,).
    """

    def __init__(self, path: Path):
        table = pq.read_table(path)
        frame = table.to_pandas()
        self.name = path.stem
        task = json.loads(table.schema.metadata[b"task"])
        self.space: dict[str, dict[str, Any]] = task["space"]
        self.kinds: tuple[str, ...] = tuple(task.get("kinds", ()))
        self.curves = np.stack(frame["curve"])
        self.cost = frame["epoch_cost"].to_numpy()
        self.epochs = self.curves.shape[1]
        number_of_kinds = math.prod(len(self.space[name]["values"]) for name in self.kinds)
        trainings = TRAININGS_PER_KIND * number_of_kinds if self.kinds else FULL_TRAININGS
        self.cost_of_run = trainings * self.epochs * self.cost.mean()
        best = self.curves.max(axis=1)
        self._best, self._median = best.max(), np.median(best)
        self.points = np.stack([self._unit(name, frame[name].to_numpy()) for name in self.space], axis=1)
        self._values = {name: frame[name].tolist() for name in self.space}
        self._choices = [spec["kind"] == "choice" for spec in self.space.values()]

    def _unit(self, name: str, value: Any) -> Any:
        """Returns a hyperparameter's value on the scale from 0 (low) to 1 (high), the place of a choice."""
        spec = self.space[name]
        if spec["kind"] == "choice":
            return np.vectorize(spec["values"].index, otypes=[float])(value)
        scale = np.log if spec["log"] else np.asarray
        low, high = scale(spec["low"]), scale(spec["high"])
        return (scale(value) - low) / (high - low)

    def nearest(self, params: Params, used: np.ndarray) -> int:
        """Returns the nearest configuration with the same choices that is not used yet; if all are, the nearest."""
        point = np.array([self._unit(name, params[name]) for name in self.space])
        distance = ((self.points - point) ** 2).sum(axis=1)
        distance[(self.points != point)[:, self._choices].any(axis=1)] = np.inf
        unused = np.where(used, np.inf, distance)
        return int((unused if np.isfinite(unused).any() else distance).argmin())

    def base(self, share: float) -> Params:
        """Returns the configuration that is better than a share of all."""
        row = int(np.argsort(self.curves.max(axis=1))[int(share * len(self.curves))])
        return {name: self._values[name][row] for name in self.space}

    def regret(self, value: float) -> float:
        """Returns the normalised regret of the best value found so far."""
        return min(100.0, 100.0 * (self._best - value) / (self._best - self._median))

    def optuna_space(self) -> dict[str, BaseDistribution]:
        """Returns the space as Optuna writes it."""

        def distribution(spec: dict[str, Any]) -> BaseDistribution:
            if spec["kind"] == "choice":
                return CategoricalDistribution(spec["values"])
            number = IntDistribution if spec["kind"] == "int" else FloatDistribution
            return number(spec["low"], spec["high"], log=spec["log"])

        return {name: distribution(spec) for name, spec in self.space.items()}


class Method(Protocol):
    """What proposes configurations and decides how long they are trained."""

    def suggest(self, trial: str) -> tuple[int, Params] | None:
        """Returns number and values of the trial to be trained (on), None if there is nothing to do."""

    def report(self, trial: str, epoch: int, value: float) -> bool:
        """Takes an epoch's value and returns whether the trial goes on."""


class OurMethod:
    """Ours, whose trials may be promoted after they have waited."""

    def __init__(self, controller: Controller, epochs: int):
        controller.begin(SearchStarted(), WORKERS)
        self._controller, self._epochs = controller, epochs
        self._numbers: dict[str, int] = {}

    def suggest(self, trial: str) -> tuple[int, Params] | None:
        record = self._controller.next_trial()
        if record is None:
            return None
        self._numbers[trial] = record.number
        return record.number, record.params

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
        self._space, self._epochs = table.optuna_space(), table.epochs
        self._trials: dict[str, optuna.Trial] = {}

    def suggest(self, trial: str) -> tuple[int, Params]:
        asked = self._trials[trial] = self._study.ask(self._space)
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
        self._space = table.optuna_space()

    def suggest(self, trial: str) -> Params:
        return self._study.ask(self._space).params

    def on_trial_result(self, trial: str, result: dict[str, Any]) -> None:
        """Learns nothing."""

    def on_trial_complete(self, trial: str, result: dict[str, Any]) -> None:
        """Learns nothing."""


def _ours(table: Table, seed: int, sampler: str = "tpe", scheduler: str = "asha", base: float | None = None) -> Method:
    def distribution(spec: dict[str, Any]) -> Distribution:
        if spec["kind"] == "choice":
            return Choice(tuple(spec["values"]))
        if spec["kind"] == "int":
            return IntRange("lograndint" if spec["log"] else "randint", spec["low"], spec["high"] + 1)
        return FloatRange("loguniform" if spec["log"] else "uniform", spec["low"], spec["high"])

    parameters = [Parameter(name, "", distribution=distribution(spec)) for name, spec in table.space.items()]
    space = Space(parameters, default=table.base(base).get if base is not None else lambda key: None)
    options = SearchOptions(
        metric=METRIC,
        seed=seed,
        num_samples=ENDLESS,
        sampler=NamedOptions(sampler, {}),
        scheduler=NamedOptions(scheduler, {}),
        kinds=table.kinds,
        reference=base is not None,
    )
    return OurMethod(Controller(space, options, table.epochs), table.epochs)


def _stock_asha(table: Table) -> Any:
    from ray.tune.schedulers import ASHAScheduler  # here: ours needs no Ray

    return ASHAScheduler("training_iteration", METRIC, "max", max_t=table.epochs)


def _stock_ray(table: Table, seed: int) -> Method:
    from ray.tune.search.optuna import OptunaSearch

    searcher = OptunaSearch(table.optuna_space(), METRIC, "max", seed=seed)
    return RayMethod(searcher, _stock_asha(table), table.epochs)


def _random(table: Table, seed: int) -> Method:
    from ray.tune.schedulers import FIFOScheduler

    return RayMethod(RandomSearch(table, seed), FIFOScheduler(), table.epochs)


METHODS: dict[str, Callable[[Table, int], Method]] = {
    "ours": _ours,
    "stock_ray": _stock_ray,
    "random_asha": lambda table, seed: RayMethod(RandomSearch(table, seed), _stock_asha(table), table.epochs),
    "random": _random,
    "optuna_median": lambda table, seed: OptunaMethod(table, seed, optuna.pruners.MedianPruner()),
    "optuna_hyperband": lambda table, seed: OptunaMethod(
        table, seed, optuna.pruners.HyperbandPruner(1, table.epochs, reduction_factor=3)
    ),
}


COMPARED = list(METHODS)  # unless --methods says otherwise
# Our other samplers, also under asha; a search with gp takes minutes.
METHODS |= {f"ours_{name}": partial(_ours, sampler=name) for name in ("gp", "nsga2", "random")}
METHODS |= {f"ours_base_{share}": partial(_ours, base=share / 100) for share in (50, 75, 95)}
METHODS |= {"ours_unstopped": partial(_ours, scheduler="none")}
SYNE_TUNE = {
    "syne_tune_asha": "ASHA",
    "syne_tune_bohb": "BOHB",
    "syne_tune_bore": "ASHABORE",
    "syne_tune_cqr": "ASHACQR",
}
if importlib.util.find_spec("syne_tune"):
    METHODS |= {method: partial(SyneTuneMethod, name) for method, name in SYNE_TUNE.items()}
    COMPARED.append("syne_tune_asha")  # the others take 4 to 100 s a run


def regrets(table: Table, method: Method) -> list[float]:
    """Runs a search in virtual time and returns its regrets at the PARTS of its cost."""
    end = table.cost_of_run / WORKERS
    used = np.zeros(len(table.curves), dtype=bool)
    rows: dict[int, int] = {}  # of trials
    epochs: dict[int, int] = {}  # that they have been trained
    best: list[tuple[float, float]] = [(0.0, -math.inf)]  # time and value
    running: list[tuple[float, int, str, int]] = []  # when the next epoch ends, a tie-break, Ray's id, number
    started = 0

    def start(now: float) -> None:
        nonlocal started
        started += 1
        trial = f"{started:05d}"
        suggested = method.suggest(trial)
        if suggested is None:
            return
        number, params = suggested
        if number not in rows:
            rows[number], epochs[number] = table.nearest(params, used), 0
            used[rows[number]] = True
        heapq.heappush(running, (now + table.cost[rows[number]], started, trial, number))

    for _ in range(WORKERS):
        start(0.0)
    while running:
        now, order, trial, number = heapq.heappop(running)
        if now > end:
            break
        epochs[number] += 1
        value = float(table.curves[rows[number], epochs[number] - 1])
        best.append((now, max(value, best[-1][1])))
        if method.report(trial, epochs[number], value):
            heapq.heappush(running, (now + table.cost[rows[number]], order, trial, number))
        else:
            start(now)
    return [table.regret(max(value for time, value in best if time <= part * end)) for part in PARTS.values()]


def _run(job: tuple[Path, str, int]) -> list[float]:
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path, method, seed = job
    table = Table(path)
    return regrets(table, METHODS[method](table, seed))


def compare(paths: Sequence[Path], methods: Sequence[str], seeds: int) -> dict[str, Any]:
    """Returns the figures of each method, and each task's regret at the end."""
    jobs = [(path, method, seed) for method in methods for path in paths for seed in range(seeds)]
    with ProcessPoolExecutor() as pool:
        found = np.array(list(pool.map(_run, jobs))).reshape(len(methods), len(paths), seeds, len(PARTS))
    full = found[..., -1]
    ranks = rankdata(full, axis=0).mean(axis=(1, 2))
    # the tasks are given, the seeds are drawn: the error of the mean over tasks comes from the seeds
    errors = np.sqrt((full.var(axis=2, ddof=1) / seeds).sum(axis=1)) / len(paths) if seeds > 1 else np.zeros(len(full))
    return {
        "methods": {
            method: {
                **{part: float(value) for part, value in zip(PARTS, found[number].mean(axis=(0, 1)), strict=True)},
                "se_full": float(errors[number]),
                "rank": float(ranks[number]),
            }
            for number, method in enumerate(methods)
        },
        "tasks": {
            path.stem: {method: float(full[number, task].mean()) for number, method in enumerate(methods)}
            for task, path in enumerate(paths)
        },
        "seeds": seeds,
    }


def tables_parser(doc: str, seeds: int) -> argparse.ArgumentParser:
    """Returns a parser with --tables and --seeds, described by the first line of a docstring."""
    parser = argparse.ArgumentParser(description=doc.split("\n", 1)[0])
    parser.add_argument("--tables", type=Path, default=Path(__file__).parent / "curves")
    parser.add_argument("--seeds", type=int, default=seeds)
    return parser


def table_paths(args: argparse.Namespace) -> list[Path]:
    """Returns the tables that the arguments of `tables_parser` name; none, having said so, where they name none."""
    paths = sorted(args.tables.glob("*.parquet"))
    if paths and args.seeds >= 1:
        return paths
    print(f"error: {args.tables} holds no .parquet tables, or --seeds is below 1", file=sys.stderr)
    return []


def main() -> int:
    """Compares the methods on all tables of a folder."""
    parser = tables_parser(__doc__, seeds=30)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=COMPARED)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    paths = table_paths(args)
    if not paths:
        return 2
    figures = compare(paths, args.methods, args.seeds)
    print(f"{'method':<18}{'1/4':>7}{'1/2':>7}{'all':>7}{'+-':>6}{'rank':>7}   regret, {len(paths)} tasks")
    for name, row in figures["methods"].items():
        print(
            f"{name:<18}{row['regret_quarter']:>7.1f}{row['regret_half']:>7.1f}{row['regret_full']:>7.1f}"
            f"{row['se_full']:>6.1f}{row['rank']:>7.2f}"
        )
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
