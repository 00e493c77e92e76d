"""How many trials fit on what Ray has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from configs.errors import ConfigError, SurroundingsError
from search.engine.stopping import Stopping
from search.plan import make_plan
from search.record.history import History
from search.run import main
from search.space.options import SearchOptions
from search.space.space_file import read_space
from search.trials.cluster import free_gpu_memory, ray_cluster, trial_resources, trial_slots
from search.trials.ray_environment import prepare_ray_environment
from tests.conftest import ROOT


def node(cpu: float, gpu: float = 0, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"CPU": cpu, **({"GPU": gpu} if gpu else {})}}


@pytest.mark.parametrize(
    ("resources", "nodes", "slots"),
    [
        ({"cpu": 1}, [node(2)], 2),
        ({"cpu": 2}, [node(3), node(5)], 3),  # a trial does not span nodes
        ({"cpu": 1, "gpu": 0.25}, [node(8, 1)], 4),
        ({"cpu": 1, "gpu": 0.1}, [node(80, 3)], 30),
        ({"cpu": 1, "gpu": 0.4}, [node(80, 3)], 6),  # nor does it span devices
        ({"cpu": 4, "gpu": 0.25}, [node(8, 1)], 2),
        ({"cpu": 1}, [node(2), node(2, alive=False)], 2),
        ({"cpu": 1, "gpu": 2}, [node(8, 1), node(8, 1)], 0),
    ],
)
def test_slots(resources, nodes, slots):
    assert trial_slots(resources, nodes) == slots


def plan(cpus: float, gpus: float, num_samples: int = 100, search: str = ""):
    space = "{MODEL.HEAD.DROPOUT: {uniform: [0, 0.5]}}"
    Path("s.yaml").write_text(f"search: {{{search or 'reference: false'}}}\nspace: {space}\n")
    return make_plan(read_space("s.yaml"), num_samples=num_samples, cpus_per_trial=cpus, gpus_per_trial=gpus)


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


@pytest.mark.parametrize(
    ("gpus", "num_samples", "nodes", "asked"),
    [
        (0.25, 100, [node(8, 2)], 0.25),  # eight trials fill both devices
        (0.25, 100, [node(4, 2)], 0.5),  # there are CPUs for four
        (0.25, 5, [node(8, 2)], 0.3333),
        (0.25, 2, [node(8, 2)], 1),
        (0.5, 100, [node(2, 2)], 1),
        (0.3, 100, [node(8, 2)], 0.3333),
        (1, 100, [node(8, 2)], 1),
        (0.25, 2, [node(8, 1), node(8, 1)], 1),
        (0.25, 2, [node(8, 1)], 0.25),  # nothing stays idle
        (0.25, 100, [node(2, 2), node(8, 2)], 0.25),
    ],
)
def test_trials_ask_for_as_much_of_a_gpu_as_leaves_none_idle(gpus, num_samples, nodes, asked):
    resources, notes = trial_resources(plan(1, gpus, num_samples), nodes)
    assert resources == {"cpu": 1, "gpu": asked}
    assert bool(notes) == (asked > gpus)
    needed = min(trial_slots({"cpu": 1, "gpu": gpus}, nodes), num_samples)
    assert trial_slots(resources, nodes) >= needed, "as many run at a time"


def test_repeats_may_be_more_than_samples():
    options = "confirm: {top: 2, seeds: 4}, reference: false"
    assert trial_resources(plan(1, 0.25, 2, options), [node(8, 2)])[0]["gpu"] == 0.25
    options = "confirm: {top: 1, seeds: 2}, reference: true"
    assert trial_resources(plan(1, 0.25, 2, options), [node(8, 2)])[0]["gpu"] == 0.5, "four repeats"


NVIDIA_SMI = """#!/bin/sh
echo "GPU-aaaa, 1000"
echo "GPU-bbbb, 2000"
"""


def test_ray_leaves_no_gpu_idle_and_its_workers_tell_what_is_free(monkeypatch, tmp_path):
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(NVIDIA_SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)  # logical ones: Ray does not look for them

    @ray.remote
    class Trial:
        def device(self) -> str:
            return os.environ["CUDA_VISIBLE_DEVICES"]

    with ray_cluster(None, with_dashboard=False) as (nodes, line):
        assert line == "Ray dashboard: none"
        assert free_gpu_memory(nodes) == {"aaaa": 1000 * 2**20, "bbbb": 2000 * 2**20}
        for fraction, trials in ((1, 2), (0.5, 2), (0.25, 4)):
            resources, _ = trial_resources(plan(0.1, fraction, trials), nodes)
            bundle = {name.upper(): amount for name, amount in resources.items()}
            groups = [ray.util.placement_group([bundle]) for _ in range(trials)]  # as Ray Tune asks for them
            actors = [
                Trial.options(
                    num_cpus=resources["cpu"],
                    num_gpus=resources["gpu"],
                    scheduling_strategy=PlacementGroupSchedulingStrategy(group),
                ).remote()
                for group in groups
            ]
            devices = ray.get([actor.device.remote() for actor in actors])
            assert sorted(devices) == sorted(["0", "1"] * (trials // 2)), fraction
            for group in groups:
                ray.util.remove_placement_group(group)


def test_a_trial_that_fits_nowhere():
    with pytest.raises(ConfigError, match=r"asks for 3 CPU and 0 GPU, but no node has as much \(2 CPU and 0 GPU\)"):
        trial_resources(plan(3, 0), [node(2)])


def test_a_ray_that_does_not_start_is_an_error_with_its_reason(monkeypatch):
    def init(**options):
        raise Exception("The current node timed out during startup.\nThis could happen because ...")

    monkeypatch.setattr("ray.init", init)
    reason = r"Ray could not be started here, try again: The current node timed out during startup\. This could"
    with pytest.raises(SurroundingsError, match=reason), ray_cluster(None):
        pass


def begun(options: SearchOptions) -> Stopping:
    stopping = Stopping(options, History())
    assert not stopping.is_final(), "the budget counts from the start"
    stopping.begin()
    return stopping


def test_the_time_budget():
    assert not begun(SearchOptions()).is_final()
    assert not begun(SearchOptions(time_budget=1000)).is_final()
    assert begun(SearchOptions(time_budget=1e-9)).is_final()


def test_a_ray_of_our_own_has_the_cpus_of_this_process_and_a_folder_for_its_user():
    code = (
        "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from search.trials.ray_environment import prepare_ray_environment\nprepare_ray_environment(None)\n"
        "from search.trials.cluster import ray_cluster\n"
        "with ray_cluster(None, with_dashboard=False) as (nodes, _):\n"
        "    print(nodes[0]['Resources']['CPU'], os.environ['RAY_ENABLE_UV_RUN_RUNTIME_ENV'])\n"
        "    import ray\n    folder = ray._private.worker.global_worker.node.get_session_dir_path()\n"
        "    print(oct(os.stat(folder).st_mode & 0o777))\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    long = Path("a" * 65, "b" * 65)  # too long for the paths of Ray's sockets
    long.mkdir(parents=True)
    environment["TMPDIR"] = str(long.absolute())
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1.0", "0", "0o700"]


def test_an_empty_address_is_no_address(capsys):
    assert main(["--space", str(ROOT / "spaces" / "head.yaml"), "--address", ""]) == 2
    assert "--address: is empty; give host:port or auto, or leave it out" in capsys.readouterr().err


def test_a_temporary_folder_whose_name_is_too_long_for_ray(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/" + "x" * 60)
    with pytest.raises(ConfigError, match=r"RAY_TMPDIR: /x+ has 61 characters; allowed are \d+, since"):
        prepare_ray_environment(None)
