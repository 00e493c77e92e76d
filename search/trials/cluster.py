"""The Ray that trials run on: started or connected to, and what of it a trial gets."""

import math
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ray
import torch
from joblib import cpu_count
from ray import tune
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from configs.errors import ConfigError, SurroundingsError, one_line
from search.plan import SearchPlan
from search.trials.address import check_address
from search.trials.secret_values import SecretSource, hidden
from search.trials.signals import take_sigterm_as_ctrl_c, without_sigterm

if TYPE_CHECKING:
    from search.trials.gpu_memory import GpuMemory
    from search.trials.node_check import NodeChecks

RAYS_UNITS = 10_000  # Ray counts in ten thousandths


@dataclass(frozen=True)
class Machines:
    """What the trials of a search run on.

    Attributes:
        resources: of one trial, from `trial_resources`.
        slots: how many trials run at a time, from `trial_slots`.
        memory: of GPUs, which trials share; None: they use none.
        secret_source: where workers ask for secrets; None: there are none.
        checks: of the nodes of a cluster; None: Ray runs on this machine alone.
    """

    resources: dict[str, float] = field(default_factory=dict)
    slots: int = 0
    memory: "GpuMemory | None" = None
    secret_source: SecretSource | None = None
    checks: "NodeChecks | None" = None


def workers_host(address: str | None) -> str:
    """Returns the address of this machine that workers know."""
    return str(ray.util.get_node_ip_address()) if address else "127.0.0.1"


@contextmanager
def ray_cluster(address: str | None, with_dashboard: bool = True) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Connects to a cluster, or starts one here (see ray_environment.py); yields its nodes and a line for people.

    Args:
        address: of a cluster; None starts one.
        with_dashboard: whether one that is started has a dashboard.

    Raises:
        ConfigError: there is no cluster at the address.
        SurroundingsError: Ray does not start here.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        check_address(address)
        try:
            context = ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"--address {address}: no Ray cluster answers: {str(error).splitlines()[0]}") from None
    else:
        with without_sigterm(), hidden():
            # counted by torch, which will use them: Ray looks for the driver's library, which it does not always find
            gpus = torch.cuda.device_count()
            # those that this process may use: Ray counts the machine's, whatever affinity and container allow
            cpus = cpu_count()
            try:
                context = ray.init(
                    address="local", include_dashboard=with_dashboard, num_cpus=cpus, num_gpus=gpus, **quiet
                )
            except Exception as error:  # Ray has no class of its own for it
                ray.shutdown()  # what did start
                raise SurroundingsError(f"Ray could not be started here, try again: {one_line(str(error))}") from None
        _close_session_folder()
    take_sigterm_as_ctrl_c()
    # Ray prints a paragraph of its own when a worker has died, whatever log_to_driver says; our events tell it
    ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None
    try:
        url = f"http://{context.dashboard_url}" if context.dashboard_url else "none"
        token = os.environ.get("RAY_AUTH_TOKEN") if context.dashboard_url and not address else None
        yield ray.nodes(), f"Ray dashboard: {url}" + (f"  (paste this token there once: {token})" if token else "")
    finally:
        ray.shutdown()


def _close_session_folder() -> None:
    """Keeps other users out of the files of a Ray of our own; Ray opens its session's folder to all."""
    folder = ray._private.worker.global_worker.node.get_session_dir_path()
    with suppress(OSError):
        os.chmod(folder, 0o700)


def trial_resources(plan: SearchPlan, nodes: list[dict[str, Any]]) -> tuple[dict[str, float], list[str]]:
    """Returns what one trial asks of Ray, and lines about what differs from the plan.

    Args:
        plan: how many CPUs and GPUs a trial should have.
        nodes: as ray.nodes() describes them.

    Raises:
        ConfigError: no node can ever hold a trial.
    """
    cpus, gpus, notes = plan.options.cpus_per_trial, plan.options.gpus_per_trial, []
    if gpus and not _devices(nodes):
        reason = "no GPU here"
        if torch.cuda.is_available():
            reason = "Ray knows of no GPU, though torch sees one here (ray start --num-gpus N tells it)"
        notes.append(f"{reason}: trials run on {cpus:g} CPU each")
        gpus = 0.0
    resources = {"cpu": cpus, **({"gpu": gpus} if gpus else {})}
    if trial_slots(resources, nodes) < 1:
        has = ", ".join(
            f"{r.get('CPU', 0):g} CPU and {r.get('GPU', 0):g} GPU"
            for r in (n["Resources"] for n in nodes if n["Alive"])
        )
        raise ConfigError(
            f"a trial asks for {cpus:g} CPU and {gpus:g} GPU, but no node has as much ({has}); lower it with "
            "--cpus-per-trial and --gpus-per-trial, or under search: resources"
        )
    if gpus:
        resources["gpu"] = _spread(resources, nodes, plan.options.most_at_once)
        if resources["gpu"] > gpus:
            notes.append(f"Ray gives each trial {resources['gpu']:g} of a GPU, so that all {_devices(nodes)} are used")
    return resources, notes


def placed(resources: dict[str, float], nodes: Collection[str] | None = None) -> tune.PlacementGroupFactory:
    """Returns what Ray Tune asks for a trial.

    Args:
        resources: of one trial, from `trial_resources`.
        nodes: ids of those on which it may run; None: any.
    """
    bundle = {name.upper(): amount for name, amount in resources.items()}
    if nodes is None:
        return tune.PlacementGroupFactory([bundle])
    on_these = {"ray.io/node-id": f"in({','.join(sorted(nodes))})"}
    return tune.PlacementGroupFactory([bundle], bundle_label_selector=[on_these])


def _devices(nodes: list[dict[str, Any]]) -> int:
    return sum(int(node["Resources"].get("GPU", 0)) for node in nodes if node["Alive"])


def _spread(resources: dict[str, float], nodes: list[dict[str, Any]], most: int) -> float:
    """Returns the fraction of a GPU at which as many trials run at a time as could, on as many devices as there are.

    Ray fills one device before it takes the next: four trials of a quarter each share the first, and a second one
    stays idle. Four of a half cannot.

    Args:
        resources: of one trial, with the fraction that it needs.
        nodes: as ray.nodes() describes them.
        most: trials that will ever run at a time.
    """
    needed = resources["gpu"]
    if _devices(nodes) < 2:
        return needed
    slots = min(trial_slots(resources, nodes), most)
    for sharing in range(1, _sharing(needed) + 1):
        fraction = math.floor(RAYS_UNITS / sharing) / RAYS_UNITS
        if trial_slots(resources | {"gpu": fraction}, nodes) >= slots:
            return max(needed, fraction)
    return needed


def _sharing(fraction: float) -> int:
    """Returns how many trials share a device at most."""
    return int(1 / fraction + 1e-9)


def free_gpu_memory(nodes: list[dict[str, Any]]) -> dict[str, int]:
    """Returns the bytes that are free on each GPU of a cluster, by UUID, as `nvidia_smi.free_memory` finds them.

    Args:
        nodes: as ray.nodes() describes them.
    """

    def ask() -> dict[str, int]:  # travels by value, see tuner.py
        import yacstune  # noqa: F401
        from search.trials.nvidia_smi import free_memory

        return free_memory()

    asked = [
        ray.remote(num_cpus=0)(ask)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote()
        for node in nodes
        if _devices([node])
    ]
    return {uuid: free for node in ray.get(asked) for uuid, free in node.items()}


def trial_slots(resources: dict[str, float], nodes: list[dict[str, Any]]) -> int:
    """Returns how many trials run at a time.

    Args:
        resources: of one trial, from `trial_resources`.
        nodes: as ray.nodes() describes them.
    """
    slots = 0
    for node in nodes:
        if node["Alive"]:
            limits = [int(node["Resources"].get("CPU", 0) / resources["cpu"] + 1e-9)]
            if gpus := resources.get("gpu"):
                limits.append(_devices([node]) * _sharing(gpus))  # a trial does not span devices
            slots += min(limits)
    return slots
