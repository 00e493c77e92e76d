"""Nodes of a cluster: which can train trials, what happens as they join, what trials wait for, and their secrets."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
import ray

from configs.errors import ConfigError
from configs.loader import load_cfg
from data.build import build_dataset
from data.image_data import DATASET_REGISTRY
from search.folder import SearchFolder
from search.plan import make_plan
from search.space.space_file import read_space
from search.trials.cluster import placed
from search.trials.faults import NodeError
from search.trials.node_check import Expected, checked_nodes, expected_of_nodes, problem_here
from search.trials.node_watch import NodeWatch, placement_now
from search.trials.secret_values import SecretSource, served, take_secrets
from tests.conftest import ROOT, in_make_chaos, write_tiny

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
    digits = build_dataset(load_cfg("base.yaml", ["DATASET.NAME", "digits"]).DATASET)
    with served(plan.secrets, "127.0.0.1") as source, expected_of_nodes(plan, folder, digits.digest, source) as found:
        monkeypatch.setenv("GCP_KEY", "")  # as in a process that Ray has started
        yield found
    assert not list(folder.path.iterdir())


def test_a_node_that_has_everything(expected):
    assert problem_here(expected) == ""
    assert os.environ["GCP_KEY"] == SECRET


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda e: {"versions": {**e.versions, "torch": "1.0"}},
            r"it has torch 2.* \(this search: 1.0\); install the same",
        ),
        (lambda e: {"working_folder": "/nowhere"}, "it has no folder /nowhere; mount the file system on which"),
        (lambda e: {"mark": "/nowhere/mark"}, "it does not see what this search writes into /nowhere; all nodes"),
        (
            lambda e: {"content": "of another search"},
            "it does not see what this search writes into .*out; all nodes",
        ),
        (
            lambda e: {"base_cfg": {**e.base_cfg, "USER_MODULES": ["gone.py"]}},
            "USER_MODULES: found .* There is no file",
        ),
        (lambda e: {"code": {**e.code, "tiny.py": ""}}, "its code of USER_MODULES differs: tiny.py"),
        (lambda e: {"data_digest": "another"}, "the images of locked, their labels or their split differ there"),
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
        for on, fits in ((None, True), ([nodes[0]["NodeID"], "f" * 56], True), (["f" * 56], False)):
            group = placed({"cpu": 1.0}, on).to_placement_group()
            assert group.wait(timeout_seconds=5 if fits else 1) == fits
            ray.util.remove_placement_group(group)
    finally:
        ray.shutdown()


HOLD = """
import ray, sys, time
ray.init(address=sys.argv[1], log_to_driver=False)
@ray.remote(num_cpus=2)
class Holder:
    def is_there(self):
        return True
holder = Holder.remote()
ray.get(holder.is_there.remote())
print("held", flush=True)
time.sleep(600)
"""
RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]


def started(words: list[str], **options) -> subprocess.Popen:
    return subprocess.Popen(words, text=True, start_new_session=True, **options)


@in_make_chaos
def test_a_node_that_joins_is_used_and_what_is_waited_for_is_said(ray_address, space):
    processes = [started([sys.executable, "-c", HOLD, ray_address], stdout=subprocess.PIPE)]
    try:
        assert processes[0].stdout.readline() == "held\n"
        words = [sys.executable, "-m", "search.run", "--space", str(space), "--address", ray_address, "-o", "out"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        search = started(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
        processes.append(search)
        printed = ""
        for line in search.stdout:  # each step follows from what is said, however long that takes
            printed += line
            if line.startswith("waiting for 1 CPU: others use all"):
                join = [*RAY, "start", "--block", "--address", ray_address, "--num-cpus", "1"]
                processes.append(started(join, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            elif "has joined" in line:
                processes[0].kill()
        assert search.wait() == 0, printed
        assert "has joined: 3 at a time" in printed and "1 CPU became free after" in printed, printed
        assert printed.index("waiting for") < printed.index("has joined")
        assert pd.read_csv("out/results.csv")["node"].notna().all()
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM if process is processes[-1] else signal.SIGKILL)
            process.wait()


class Checks:
    """Nodes of which one is fit, one is not, and one has joined and not been asked yet."""

    def __init__(self):
        self.unfit = {"b": "it differs"}

    def ask(self, nodes):
        pass

    def listen(self, seconds):
        pass

    def fit(self, nodes):
        return [node for node in nodes if node["NodeID"] == "a" and node["Alive"]]


def test_trials_go_to_fit_nodes_alone_and_those_that_go_are_told(monkeypatch):
    nodes = [{"NodeID": name, "Alive": True, "Resources": {"CPU": 2}, "NodeManagerHostname": name} for name in "ab"]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    monkeypatch.setattr("ray.available_resources", lambda: {"CPU": 4})
    monkeypatch.setattr("search.trials.node_watch.INTERVAL", 0)
    slots: list[int] = []
    said: list[str] = []
    watch = NodeWatch(Checks(), {"cpu": 1}, slots.append, said.append)
    nodes.append({**nodes[0], "NodeID": "c"})
    assert placement_now() == placed({"cpu": 1}, ["a"])
    assert placement_now() != placed({"cpu": 1}, ["a", "c"])
    watch.on_step_begin(1, [])
    assert slots == said == []
    nodes[0] = {**nodes[0], "Alive": False}
    watch.on_step_begin(2, [])
    assert slots == [0] and said == ["node a () is gone: 0 at a time"]


def test_a_worker_without_the_key_gets_no_secret_and_takes_none_from_others(monkeypatch):
    monkeypatch.delenv("GCP_KEY", raising=False)
    with served({"GCP_KEY": SECRET}, "127.0.0.1") as source:
        for key in (b"guessed", b""):
            with pytest.raises(
                NodeError, match="cannot ask the driver of the search for secrets: something else answers"
            ):
                take_secrets(SecretSource(source.host, source.port, key))
        assert "GCP_KEY" not in os.environ
        take_secrets(source)
        assert os.environ.pop("GCP_KEY") == SECRET
    with pytest.raises(NodeError, match="cannot ask the driver of the search for secrets: "):
        take_secrets(source)
    with served({"GCP_KEY": "of somebody else"}, "127.0.0.1") as other, pytest.raises(NodeError):
        take_secrets(replace(source, port=other.port))
    with served({}, "127.0.0.1") as nothing:
        take_secrets(nothing)
    assert "GCP_KEY" not in os.environ


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


HEAD = """
import sys
from ray.cluster_utils import Cluster
import tempfile, time
folder = tempfile.mkdtemp(prefix="yt-", dir="/tmp")
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "temp_dir": folder})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@in_make_chaos
def test_a_head_that_dies_ends_the_search_with_the_way_to_go_on(space):
    head = started([sys.executable, "-c", HEAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    code = (
        "import sys\nfrom search.run import main\nfrom search.trials import node_watch\n"
        "node_watch.HEAD_INTERVAL = 0.5\nsys.exit(main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, "--space", str(space), "-o", "out", "MODEL.SOLVER.TOTAL_EPOCHS", "9999"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        address = head.stdout.readline().strip()
        search = started(
            [*words, "--address", address], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )
        printed = ""
        for line in search.stdout:
            printed += line
            if "has started" in line:
                (gcs,) = [one for one in psutil.Process(head.pid).children() if "gcs_server" in one.name()]
                gcs.kill()
        assert search.wait() == 2, printed
        assert "does not answer any more; trials keep their last checkpoint\nresume with: " in printed
    finally:
        head.stdin.close()
        with suppress(ProcessLookupError):
            for child in psutil.Process(head.pid).children(recursive=True):
                child.kill()
            head.kill()
        head.wait()
