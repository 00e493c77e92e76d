"""Whether a node of a cluster can train trials of this search: it must see and have what the driver has."""

import os
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import yacstune
from configs.errors import ConfigError, counted, explained, one_line
from configs.files import write_atomically
from configs.loader import cfg_of
from configs.user_modules import changed_code, code_checksums, import_user_modules
from data.build import build_dataset
from search.folder import SearchFolder
from search.plan import SearchPlan
from search.trials.cluster import trial_slots
from search.trials.secret_values import SecretSource, take_secrets

PATIENCE = 60.0  # seconds: a worker imports torch, and a data set of the user's may take its time
LONGEST = 600.0  # seconds more, while no node has said that it can
MARK = ".node_check.tmp"  # in the folder of the search; what a search that was killed has left is removed


@dataclass(frozen=True)
class Expected:
    """What a node must see and have.

    Attributes:
        mark: a file in the folder of the search.
        content: of that file, which nobody else knows.
        working_folder: where the search was started.
        code: checksums of USER_MODULES and of what they import from beside them.
        versions: of Python, Ray, torch and yacstune.
        base_cfg: by key, whose DATASET is built.
        data_digest: of that data; None: it depends on the trial.
        secret_source: where the data set's secrets are asked for.
    """

    mark: str
    content: str
    working_folder: str
    code: Mapping[str, str]
    versions: Mapping[str, str]
    base_cfg: Mapping[str, Any]
    data_digest: str | None
    secret_source: SecretSource | None


@contextmanager
def expected_of_nodes(
    plan: SearchPlan, folder: SearchFolder, data_digest: str | None, secret_source: SecretSource | None
) -> Iterator[Expected]:
    """Yields what nodes must have, and keeps its mark in the folder of the search meanwhile."""
    mark, content = folder.path.absolute() / MARK, secrets.token_hex(16)
    write_atomically(mark, content)
    try:
        yield Expected(
            str(mark),
            content,
            os.getcwd(),
            code_checksums(plan.base_cfg.USER_MODULES),
            _versions(),
            plan.base_values(),
            data_digest,
            secret_source,
        )
    finally:
        mark.unlink(missing_ok=True)


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("ray", "torch")}
    return {"Python": platform.python_version(), **packages, "yacstune": yacstune.__version__}


def problem_here(expected: Expected) -> str:
    """Returns why the node of this process cannot train trials; empty if it can."""
    here = _versions()
    others = [
        f"{name} {here[name]} (this search: {there})"
        for name, there in expected.versions.items()
        if here[name] != there
    ]
    if others:
        return f"it has {', '.join(others)}; install the same versions there"
    if not Path(expected.working_folder).is_dir():
        return f"it has no folder {expected.working_folder}; mount the file system on which this search was started"
    if not is_seen(expected):
        folder = Path(expected.mark).parent
        return f"it does not see what this search writes into {folder}; all nodes must share that file system"
    os.chdir(expected.working_folder)
    try:
        take_secrets(expected.secret_source)
        cfg = cfg_of(expected.base_cfg, "base")
        changed = changed_code(expected.code, code_checksums(cfg.USER_MODULES))
        if changed:
            return f"its code of USER_MODULES differs: {', '.join(changed)}"
        import_user_modules(cfg.USER_MODULES)
        if expected.data_digest and expected.data_digest != build_dataset(cfg.DATASET).digest:
            return f"the images of {cfg.DATASET.NAME}, their labels or their split differ there"
    except ConfigError as error:
        return str(error.problems[0])
    except OSError as error:
        return explained(error)
    return ""


def is_seen(expected: Expected) -> bool:
    """Whether this process sees the folder of the search and the working folder."""
    try:
        is_same = Path(expected.mark).read_text(encoding="utf-8") == expected.content
    except OSError:
        return False
    return is_same and Path(expected.working_folder).is_dir()


class NodeChecks:
    """Asks nodes whether they can train trials, each once.

    Args:
        expected: of nodes.
        resources: of one trial; nodes without as much are not asked.

    Attributes:
        unfit: by the id of a node, why it cannot.
    """

    def __init__(self, expected: Expected, resources: Mapping[str, float]):
        self.unfit: dict[str, str] = {}
        self.expected = expected
        self._resources = dict(resources)
        self._asked: dict[Any, str] = {}  # ids of nodes, by what they will answer
        self._fit: set[str] = set()

    def ask(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """Asks those that were not asked before, and returns how many have not answered yet."""

        def check(expected: Expected) -> str:  # travels by value, see tuner.py
            import yacstune  # noqa: F401
            from search.trials.node_check import problem_here

            return problem_here(expected)

        for node in nodes:
            node_id = node["NodeID"]
            is_known = node_id in (*self._asked.values(), *self.unfit, *self._fit)
            if not is_known and trial_slots(self._resources, [dict(node)]):
                strategy = NodeAffinitySchedulingStrategy(node_id, soft=False)
                remote = ray.remote(num_cpus=0, max_retries=0)(check).options(scheduling_strategy=strategy)
                self._asked[remote.remote(self.expected)] = node_id
        return len(self._asked)

    def listen(self, seconds: float) -> None:
        """Takes note of the answers that come within some seconds."""
        if not self._asked:
            return
        answered, _ = ray.wait(list(self._asked), num_returns=len(self._asked), timeout=seconds)
        for one in answered:
            node_id = self._asked.pop(one)
            try:
                problem = ray.get(one)
            except Exception as error:  # of Ray, or of a Python that lacks ours
                problem = one_line(str(error).strip().splitlines()[-1])
            if problem:
                self.unfit[node_id] = problem
            else:
                self._fit.add(node_id)

    def fit(self, nodes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Returns those that can train trials, and are alive."""
        return [dict(node) for node in nodes if node["Alive"] and node["NodeID"] in self._fit]

    def late(self) -> list[str]:
        """Returns the ids of those that have not answered."""
        return list(self._asked.values())


def checked_nodes(
    expected: Expected, nodes: Sequence[Mapping[str, Any]], resources: Mapping[str, float]
) -> tuple[NodeChecks, list[dict[str, Any]], list[str]]:
    """Returns the checks, the nodes that can train trials, and a line for each that cannot, or has not answered.

    Args:
        expected: of nodes.
        nodes: as ray.nodes() describes them.
        resources: of one trial.

    Raises:
        ConfigError: no node can.
    """
    checks = NodeChecks(expected, resources)
    print(f"asking {counted(checks.ask(nodes), 'node')} of the cluster whether trials can run there ...", flush=True)
    checks.listen(PATIENCE)
    if not checks.fit(nodes):  # at least one is needed
        checks.listen(LONGEST)
    names = {node["NodeID"]: node_name(node) for node in nodes}
    left_out = [f"node {names[node_id]} is left out: {problem}" for node_id, problem in checks.unfit.items()]
    late = [f"node {names[node_id]} has not answered yet" for node_id in checks.late()]
    fit = checks.fit(nodes)
    if not fit:
        raise ConfigError([*left_out, *late])
    return checks, fit, [*left_out, *(f"{line}; it is used when it has" for line in late)]


def node_name(node: Mapping[str, Any]) -> str:
    """Returns what people call a node."""
    host, address = node.get("NodeManagerHostname", ""), node.get("NodeManagerAddress", "")
    return f"{host} ({address})" if host else address
