"""Ray's worker processes, as our searcher and scheduler use them: real Ray, trials that train nothing."""

import os
import time

import ray
from ray import tune
from ray._private.utils import push_error_to_driver

from search.engine.controller import Controller
from search.folder import SearchFolder
from search.record.events import SearchStarted
from search.space.distributions import FloatRange
from search.space.items import Parameter
from search.space.options import NamedOptions, SearchOptions
from search.space.space import Space
from search.trials.cluster import ray_cluster
from search.trials.messages import EpochMessage, to_result
from search.trials.ray_callback import ControllerCallback
from search.trials.ray_scheduler import ControllerScheduler
from search.trials.ray_searcher import ControllerSearcher

SLOTS = 2


class Processes(tune.Callback):
    """Notes which process ran which trial."""

    def __init__(self):
        self.pids: list[int] = []

    def on_trial_result(self, iteration, trials, trial, result, **info):
        self.pids.append(result["pid"])


def test_a_worker_that_died_is_replaced_while_trials_are_shorter_than_its_start(ray_address, tmp_path):
    first_has_died = str(tmp_path / "first_has_died")

    def train(config):
        if config["number"] == 0 and not os.path.exists(first_has_died):
            open(first_has_died, "w").close()
            os._exit(1)
        time.sleep(0.1)
        tune.report(to_result(EpochMessage({"epoch": 1, "val_score": 0.5})))

    space = Space([Parameter("x", "", distribution=FloatRange("uniform", 0, 1))])
    options = SearchOptions(
        num_samples=100, sampler=NamedOptions("random", {}), scheduler=NamedOptions("none", {}), max_failures=1
    )
    controller = Controller(space, options, 1)
    controller.begin(SearchStarted(), SLOTS)
    seen = Processes()
    with ray_cluster(ray_address):
        tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=ControllerSearcher(controller),
                scheduler=ControllerScheduler(controller),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                storage_path=str(tmp_path / "ray"),
                callbacks=[ControllerCallback(controller, SearchFolder("out"), lambda: None), seen],
                verbose=0,
            ),
        ).fit()
    assert len(seen.pids) == 100, "the one that died is tried again"
    assert len(set(seen.pids)) == SLOTS
    assert set(seen.pids[-20:]) == set(seen.pids), "both are at work in the end"


def test_ray_prints_no_paragraph_of_its_own_about_workers_that_died(ray_address, capfd):
    with ray_cluster(ray_address):
        push_error_to_driver(ray._private.worker.global_worker, "worker_died", "A worker died or was killed while ...")
        time.sleep(1)
    printed = capfd.readouterr()
    assert "A worker died" not in printed.out + printed.err
