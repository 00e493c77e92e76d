"""The Ray that trials run on: started or connected to, and what of it a trial gets."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import torch

from configs.errors import ConfigError
from search.plan import SearchPlan
from search.trials.callback import one_line
from search.trials.signals import take_sigterm_as_ctrl_c, without_sigterm

REACHABLE_TIMEOUT = 5.0  # seconds


@contextmanager
def ray_cluster(address: str | None) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Connects to a cluster, or starts one here (see ray_environment.py); yields its nodes and a line for people.

    Raises:
        ConfigError: there is no cluster at the address, or Ray does not start here.
    """
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        _check_reachable(address)
        try:
            context = ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConfigError(f"--address {address}: no Ray cluster answers: {str(error).splitlines()[0]}") from None
    else:
        with without_sigterm():
            # counted by torch, which will use them: Ray looks for the driver's library, which it does not always find
            gpus = torch.cuda.device_count()
            try:
                context = ray.init(address="local", include_dashboard=True, num_gpus=gpus, **quiet)
            except Exception as error:  # Ray has no class of its own for it
                ray.shutdown()  # what did start
                raise ConfigError(f"Ray could not be started here, try again: {one_line(str(error))}") from None
    take_sigterm_as_ctrl_c()
    try:
        url = f"http://{context.dashboard_url}" if context.dashboard_url else "none"
        token = os.environ.get("RAY_AUTH_TOKEN") if not address else None
        yield ray.nodes(), f"Ray dashboard: {url}" + (f"  token: {token}" if token else "")
    finally:
        ray.shutdown()


def trial_resources(plan: SearchPlan, nodes: list[dict[str, Any]]) -> tuple[dict[str, float], list[str]]:
    """Returns what one trial asks of Ray, and lines about what differs from the plan.

    Args:
        plan: how many CPUs and GPUs a trial should have.
        nodes: as ray.nodes() describes them.

    Raises:
        ConfigError: no node can ever hold a trial.
    """
    cpus, gpus, notes = plan.options.cpus_per_trial, plan.options.gpus_per_trial, []
    if gpus and not any(node["Resources"].get("GPU") for node in nodes if node["Alive"]):
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
    return resources, notes


def _check_reachable(address: str) -> None:
    """Asks whether anything listens at host:port; Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():  # "auto", which Ray looks up itself
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHABLE_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--address {address}: no Ray cluster answers: {error}") from None


def trial_slots(resources: dict[str, float], nodes: list[dict[str, Any]]) -> int:
    """Returns how many trials run at a time.

    Args:
        resources: of one trial, from `trial_resources`.
        nodes: as ray.nodes() describes them.
    """
    slots = 0
    for node in nodes:
        if node["Alive"]:
            has = node["Resources"]
            slots += int(min(has.get(name.upper(), 0) / wanted for name, wanted in resources.items()) + 1e-9)
    return slots
