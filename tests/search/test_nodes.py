"""Nodes of a cluster: which can train trials, what happens as they join, what trials wait for, and their secrets."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import ray

from configs.errors import ConfigError
from data.image_data import DATASET_REGISTRY
from search.folder import SearchFolder
from search.plan import make_plan
from search.run import main
from search.space.space_file import read_space
from search.trials.cluster import placed
from search.trials.node_check import Expected, checked_nodes, expected_of_nodes, problem_here
from search.trials.secret_values import SecretSource, served, take
from tests.conftest import ROOT, write_tiny

SECRET = "not-for-any-file"
# A data set that cannot be made without the secret.
PARTS = """
import os
from data.digits import build_digits
from data.image_data import DATASET_REGISTRY

@DATASET_REGISTRY.register("locked")
def build(dataset_cfg):
    if not os.environ.get("GCP_KEY"):
        raise OSError("no key")
    return build_digits(dataset_cfg)
"""


@pytest.fixture
def space(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("GCP_KEY", SECRET)
    Path("parts.py").write_text(PARTS)
    modules = f"[{ROOT / 'tests' / 'parts' / 'tiny.py'}, parts.py]"
    write_tiny(Path("base.yaml"), {"USER_MODULES": modules, "DATASET.NAME": "locked"})
    rate = "MODEL.SOLVER.OPTIMIZER.BASE_LR: {loguniform: [1e-4, 1e-1]}"
    Path("s.yaml").write_text(
        f"base: base.yaml\nsearch: {{num_samples: 3, scheduler: none, reference: false}}\nspace: {{{rate}}}\n"
    )
    DATASET_REGISTRY._builders.pop("locked", None)  # of the folder of another test
    return tmp_path / "s.yaml"


@pytest.fixture
def expected(space, monkeypatch) -> Iterator[Expected]:
    plan = make_plan(read_space(space))
    folder = SearchFolder("out")
    folder.path.mkdir()
    with served(plan.secrets, "127.0.0.1") as source, expected_of_nodes(plan, folder, None, source) as found:
        monkeypatch.setenv("GCP_KEY", "")  # as in a process that Ray has started
        yield found
    assert not list(folder.path.iterdir())


def test_a_node_that_has_everything(expected):
    assert problem_here(expected) == ""
    assert os.environ["GCP_KEY"] == SECRET


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda e: {"versions": {**e.versions, "torch": "1.0"}}, r"it has torch 2.* \(here 1.0\); install the same"),
        (lambda e: {"working_folder": "/nowhere"}, "it has no folder /nowhere; mount the file system on which"),
        (lambda e: {"mark": "/nowhere/mark"}, "it does not see what is written here into /nowhere, which must lie"),
        (lambda e: {"content": "of another search"}, "it does not see what is written here into .*out, which must lie"),
        (lambda e: {"modules": {"/gone/parts.py": ""}}, "/gone/parts.py of USER_MODULES is not there"),
        (lambda e: {"modules": dict.fromkeys(e.modules, "")}, "tiny.py of USER_MODULES is another there"),
        (lambda e: {"data_digest": "another"}, "the images of locked, their labels or their split are others there"),
        (lambda e: {"secret_source": None}, "no key"),
    ],
)
def test_what_a_node_may_lack(expected, change, problem):
    found = problem_here(replace(expected, **change(expected)))
    assert re.search(problem, found), found


def test_nodes_that_cannot_take_part_are_left_out_by_name(ray_address, expected):
    ray.init(address=ray_address, log_to_driver=False, ignore_reinit_error=True)
    try:
        nodes = ray.nodes()
        _, fit, left_out = checked_nodes(expected, nodes, {"cpu": 1})
        assert [node["NodeID"] for node in fit] == [nodes[0]["NodeID"]] and left_out == []
        with pytest.raises(ConfigError, match=r"node \S+ \([0-9.]+\) is left out: it has no folder /nowhere"):
            checked_nodes(replace(expected, working_folder="/nowhere"), nodes, {"cpu": 1})
        for without, fits in (((), True), ((nodes[0]["NodeID"],), False)):
            group = placed({"cpu": 1.0}, without).to_placement_group()
            assert group.wait(timeout_seconds=5 if fits else 1) == fits
            ray.util.remove_placement_group(group)
    finally:
        ray.shutdown()


def test_a_node_that_joins_is_used_and_what_is_waited_for_is_said(ray_address, space, capsys, tmp_path):
    code = (
        "import ray, sys, time\nray.init(address=sys.argv[1], log_to_driver=False)\n"
        "@ray.remote(num_cpus=2)\nclass Holder:\n    def is_there(self):\n        return True\n"
        "holder = Holder.remote()\nray.get(holder.is_there.remote())\nprint('held', flush=True)\ntime.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, ray_address], stdout=subprocess.PIPE, text=True)
    joining = None
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        start = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", "--block"]
        late = f"sleep 8; exec {' '.join(repr(word) if ' ' in word else word for word in start)}"
        joining = subprocess.Popen(
            ["sh", "-c", f"{late} --address {ray_address} --num-cpus 1"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert main(["--space", str(space), "--address", ray_address, "-o", "out"]) == 0
    finally:
        holder.kill()
        holder.wait()
        if joining is not None:
            os.killpg(joining.pid, 15)
            joining.wait()
    printed = capsys.readouterr().out
    assert "waiting for 1 CPU: others use all that this cluster has of it" in printed
    assert "has joined: 3 at a time" in printed and "1 CPU became free after" in printed
    assert pd.read_csv("out/results.csv")["node"].nunique() == 1


def test_a_worker_without_the_key_gets_no_secret():
    with served({"GCP_KEY": SECRET}, "127.0.0.1") as source:
        assert source is not None
        with pytest.raises(ConnectionError, match="does not tell this worker its secrets"):
            take(SecretSource(source.host, source.port, b"guessed"))
        take(source)
    with pytest.raises(OSError, match=r".*"):
        take(source)
    with served({}, "127.0.0.1") as nothing:
        take(nothing)


LOOK = """
import os, pathlib, psutil, ray
from search.trials import tuner

def look(*arguments, **named):
    folder = pathlib.Path(ray._private.worker.global_worker.node.get_session_dir_path())
    status = run_trials(*arguments, **named)
    daemons = [one for one in psutil.Process().children(recursive=True) if "SECRET" in str(one.environ())]
    files = [str(file) for file in folder.rglob("*") if file.is_file() and b"SECRET" in file.read_bytes()]
    print("children", len(psutil.Process().children(recursive=True)), "with it", daemons, files)
    return status

import search.session
run_trials, search.session.run_trials = tuner.run_trials, look
from search.run import main
print("status", main(["--space", "s.yaml", "-o", "out", "--num-samples", "1", "--no-dashboard"]))
"""


def test_a_secret_is_in_no_file_and_in_no_daemon(space):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = LOOK.replace("SECRET", SECRET)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    children = next(line for line in done.stdout.splitlines() if line.startswith("children"))
    assert children.endswith("with it [] []") and int(children.split()[1]) >= 3, done.stdout
    assert "status 0" in done.stdout
    for file in Path("out").rglob("*"):
        assert not file.is_file() or SECRET.encode() not in file.read_bytes(), file
