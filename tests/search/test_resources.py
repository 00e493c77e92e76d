"""How many trials fit on what Ray has."""

from pathlib import Path

import pytest

from configs.errors import ConfigError
from search.engine.stopping import SearchStopper
from search.plan import make_plan
from search.record.history import History
from search.space.options import SearchOptions
from search.space.space_file import read_space
from search.trials.cluster import ray_cluster, trial_resources, trial_slots


def node(cpu: float, gpu: float = 0, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"CPU": cpu, **({"GPU": gpu} if gpu else {})}}


@pytest.mark.parametrize(
    ("resources", "nodes", "slots"),
    [
        ({"cpu": 1}, [node(2)], 2),
        ({"cpu": 2}, [node(3), node(5)], 3),  # a trial does not span nodes
        ({"cpu": 1, "gpu": 0.25}, [node(8, 1)], 4),
        ({"cpu": 1, "gpu": 0.1}, [node(80, 3)], 30),
        ({"cpu": 4, "gpu": 0.25}, [node(8, 1)], 2),
        ({"cpu": 1}, [node(2), node(2, alive=False)], 2),
        ({"cpu": 1, "gpu": 2}, [node(8, 1), node(8, 1)], 0),
    ],
)
def test_slots(resources, nodes, slots):
    assert trial_slots(resources, nodes) == slots


def plan(cpus: float, gpus: float):
    Path("s.yaml").write_text("space: {MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}\n")
    return make_plan(read_space("s.yaml"), cpus_per_trial=cpus, gpus_per_trial=gpus)


def test_without_a_gpu_trials_run_on_cpus_and_that_is_said():
    resources, notes = trial_resources(plan(1, 0.25), [node(2)])
    assert resources == {"cpu": 1}
    assert notes == ["no GPU here: trials run on 1 CPU each"]
    assert trial_resources(plan(1, 0.25), [node(2, 1)]) == ({"cpu": 1, "gpu": 0.25}, [])


def test_a_gpu_that_ray_was_not_told_of_is_named(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    resources, notes = trial_resources(plan(1, 0.25), [node(2)])
    assert resources == {"cpu": 1}
    assert notes[0].startswith(
        "Ray knows of no GPU, though torch sees one here (ray start --num-gpus N tells it): trials"
    )


def test_a_trial_that_fits_nowhere():
    with pytest.raises(ConfigError, match=r"asks for 3 CPU and 0 GPU, but no node has as much \(2 CPU and 0 GPU\)"):
        trial_resources(plan(3, 0), [node(2)])


def test_a_ray_that_does_not_start_is_an_error_with_its_reason(monkeypatch):
    def init(**options):
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr("ray.init", init)
    reason = r"Ray could not be started here, try again: The current node timed out during startup\. This could"
    with pytest.raises(ConfigError, match=reason), ray_cluster(None):
        pass


def test_the_time_budget():
    assert not SearchStopper(SearchOptions(), History()).stop_all()
    assert not SearchStopper(SearchOptions(time_budget=1000), History()).stop_all()
    assert SearchStopper(SearchOptions(time_budget=1e-9), History()).stop_all()
