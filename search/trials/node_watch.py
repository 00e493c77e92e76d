"""Follows the nodes of a cluster while a search runs: those that join are used, and it is said what trials wait for."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from configs.errors import ExitStatus
from search.trials.cluster import placed, trial_slots
from search.trials.node_check import NodeChecks, node_name
from search.trials.unpickled import Unpickled

INTERVAL = 2.0  # seconds
HEAD_INTERVAL, HEAD_PATIENCE = 5.0, 4  # seconds between looks at the head, and looks in a row that find nothing

# What Ray Tune asks for a trial that is made now, in the one search of this process. It is no attribute, since Ray
# copies whatever a trainable holds, and a copy does not follow the nodes.
_placement: list[Callable[[], tune.PlacementGroupFactory]] = []


def placement_now() -> tune.PlacementGroupFactory:
    """Returns what Ray Tune asks for a trial that is made now: a place on a node that is known to be fit."""
    return _placement[-1]()


class NodeWatch(Unpickled, tune.Callback):
    """Tells how many trials there is room for, as nodes come and go.

    Args:
        checks: of the nodes that were there at the start, answered; those that join are asked by it.
        resources: of one trial, from `trial_resources`.
        set_slots: called with the number of trials that there is room for, when it changes.
        say: tells people.
    """

    def __init__(
        self,
        checks: NodeChecks,
        resources: dict[str, float],
        set_slots: Callable[[int], None],
        say: Callable[[str], None],
    ):
        self._checks = checks
        self._resources = resources
        self._set_slots = set_slots
        self._say = say
        self._names = {node["NodeID"]: node_name(node) for node in ray.nodes()}
        self._used = {node["NodeID"] for node in checks.fit(ray.nodes())}
        _placement[:] = [lambda: placed(resources, [node["NodeID"] for node in checks.fit(ray.nodes())])]
        self._told = set(checks.unfit)
        self._looked = 0.0
        self._waits_since: float | None = None
        if not trial_slots(self._resources, [_free()]):
            self._waits_since = time.monotonic()
            say(f"waiting for {_described(resources)}: others use all that this cluster has of it")

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Looks at the nodes from time to time; Ray Tune calls this ten times a second."""
        if time.monotonic() - self._looked < INTERVAL:
            return
        self._looked = time.monotonic()
        nodes = ray.nodes()
        self._checks.ask(nodes)
        self._checks.listen(0)
        self._names |= {node["NodeID"]: node_name(node) for node in nodes}
        for node_id in self._checks.unfit.keys() - self._told:
            self._say(f"node {self._names[node_id]} has joined and is left out: {self._checks.unfit[node_id]}")
        self._told |= self._checks.unfit.keys()
        fit = self._checks.fit(nodes)
        now = {node["NodeID"] for node in fit}
        if now == self._used:
            return
        slots = trial_slots(self._resources, fit)
        for node_ids, what in ((now - self._used, "has joined"), (self._used - now, "is gone")):
            for node_id in node_ids:
                self._say(f"node {self._names[node_id]} {what}: {slots} at a time")
        self._used = now
        self._set_slots(slots)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Says once that what was waited for is there."""
        if self._waits_since is not None:
            self._say(f"{_described(self._resources)} became free after {time.monotonic() - self._waits_since:.0f} s")
            self._waits_since = None


def _free() -> dict[str, Any]:
    """Returns what is free in the whole cluster, as if it were one node."""
    return {"Alive": True, "Resources": ray.available_resources()}


def _described(resources: dict[str, float]) -> str:
    return " and ".join(f"{amount:g} {name.upper()}" for name, amount in resources.items() if amount)


@contextmanager
def head_watched(resume_command: str) -> Iterator[None]:
    """Ends this process when the head of the cluster is gone; Ray would end it after a minute, without a word of ours.

    Args:
        resume_command: goes on with the search.
    """
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    is_over = threading.Event()

    def look() -> None:
        missed = 0
        while not is_over.wait(HEAD_INTERVAL):
            missed = 0 if _answers(host, int(port)) else missed + 1
            if missed >= HEAD_PATIENCE:
                print(
                    f"the head of the Ray cluster, {host}:{port}, does not answer any more; trials keep their last "
                    f"checkpoint\nresume with: {resume_command}",
                    flush=True,
                )
                os._exit(ExitStatus.MISTAKE)

    threading.Thread(target=look, name="head", daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host.strip("[]"), port), timeout=HEAD_INTERVAL).close()
    except OSError:
        return False
    return True
