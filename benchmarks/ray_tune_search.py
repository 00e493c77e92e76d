"""Searches of Ray Tune and Optuna as they come, over a space file of ours: what search_vs_base.py compares with.

python benchmarks/ray_tune_search.py --space SPACE --method stock_ray --seconds 60 --out DIR/best.yaml

stock_ray is Ray's OptunaSearch with its ASHAScheduler, random_asha the same with random samples, tpe_unstopped
OptunaSearch alone. A trial trains as ours do, one epoch a step, in actors that are used again, so that starting
processes costs them no more than it costs us. The time begins with the end of the first epoch. The choice is the config
of the trial with the best value in any epoch.
"""

import argparse
import os
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core

import optuna
import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch

from benchmarks.record_curves import task_space
from benchmarks.search_methods import ask, stock_asha
from benchmarks.search_vs_base import OTHERS
from configs.dump import dump_cfg
from configs.loader import cfg_of
from configs.user_modules import import_user_modules
from data.build import build_dataset
from search.plan import SearchPlan, make_plan, merge_sample
from search.space.space_file import read_space
from trainable.process_state import configure_process
from trainable.training import Training
from trainable.update import TrainingDivergedError

LONGEST_START = 300  # seconds until the first epoch; without one by then, the search ends


class OneTraining(tune.Trainable):  # type: ignore[misc]  # Ray has no types
    """Trains a sample, an epoch a step, and is used again for the next one."""

    def setup(self, config: dict[str, Any], base: dict[str, Any], space: str) -> None:
        self._plan, self._base = make_plan(read_space(space)), cfg_of(base, "the base")
        import_user_modules(self._base.USER_MODULES)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        cfg = merge_sample(self._base, self._plan.space.point_of(new_config).settings)
        self._epochs = cfg.MODEL.SOLVER.TOTAL_EPOCHS
        self._metric = self._plan.options.metric
        self._training = Training(cfg, build_dataset(cfg.DATASET), configure_process(cfg))
        return True

    def step(self) -> dict[str, Any]:
        row = self._training.run_epoch(lambda epoch, step, steps: None)
        return {self._metric: row[self._metric], "done": self.iteration + 1 >= self._epochs}


class AfterFirstEpoch(tune.Stopper):  # type: ignore[misc]
    """Ends a search so many seconds after its first epoch, and one in which every trial fails."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._created = time.monotonic()
        self._start: float | None = None

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._start = self._start or time.monotonic()
        return False

    def stop_all(self) -> bool:
        now = time.monotonic()
        if self._start is None:
            return now - self._created > LONGEST_START
        return now - self._start > self._seconds


def search(plan: SearchPlan, space: Path, method: str, seconds: float, slots: int, folder: str) -> dict[str, Any]:
    """Runs a search and returns the settings that it chose."""
    seed, metric = plan.options.seed, plan.options.metric
    epochs = plan.total_epochs({})
    sampler = optuna.samplers.RandomSampler(seed) if method == "random_asha" else None
    searcher = OptunaSearch(
        partial(ask, task_space(plan)), metric, "max", sampler=sampler, seed=None if sampler else seed
    )
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(OneTraining, base=plan.base_values(), space=str(space)), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=None if method == "tpe_unstopped" else stock_asha(epochs),
            num_samples=-1,
            max_concurrent_trials=slots,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            stop=AfterFirstEpoch(seconds),
            verbose=0,
            storage_path=folder,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        ),
    )
    results = tuner.fit()
    for error in results.errors:
        if TrainingDivergedError.__name__ not in str(error):
            raise error
    best = results.get_best_result(metric, "max", scope="all")
    return plan.space.point_of(best.config).settings


def main() -> int:
    """Searches and writes the config that was chosen."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--method", choices=OTHERS, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    plan = make_plan(read_space(str(args.space)))
    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=args.slots, include_dashboard=False, _temp_dir=folder)
        chosen = search(plan, args.space.resolve(), args.method, args.seconds, args.slots, folder)
        ray.shutdown()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(dump_cfg(plan.sample_cfg(chosen)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
