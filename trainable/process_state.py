"""The state of a process that numbers depend on: set from a config, captured, and put back.

Workers of a search run many trials one after the other. Whatever a trial leaves behind (seeds, thread counts, default
dtype, cudnn flags, environment variables, logging handlers ...) is put back before the next one.
"""

import gc
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from yacs.config import CfgNode

from configs.files import current_umask


def _restore_warnings(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]  # a list, whatever typeshed says


def _attribute(owner: Any, name: str) -> tuple[Callable[[], Any], Callable[[Any], Any]]:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


# Each entry of the state: how it is read, and how it is put back.
_FLAGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "threads of torch": (torch.get_num_threads, torch.set_num_threads),
    "threads of OpenCV": (cv2.getNumThreads, cv2.setNumThreads),
    "gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "deterministic algorithms": (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    "cudnn.enabled": _attribute(torch.backends.cudnn, "enabled"),
    "cudnn.benchmark": _attribute(torch.backends.cudnn, "benchmark"),
    "cudnn.deterministic": _attribute(torch.backends.cudnn, "deterministic"),
    "cudnn.allow_tf32": _attribute(torch.backends.cudnn, "allow_tf32"),
    "mkldnn.enabled": _attribute(torch.backends.mkldnn, "enabled"),
    "sums in fp16": _attribute(torch.backends.cuda.matmul, "allow_fp16_reduced_precision_reduction"),
    "sums in bf16": _attribute(torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    "autocast": (lambda: torch.is_autocast_enabled("cpu"), lambda v: torch.set_autocast_enabled("cpu", v)),
    "optimised OpenCV": (cv2.useOptimized, cv2.setUseOptimized),
    "numpy errors": (np.geterr, lambda v: np.seterr(**v)),
    "random of Python": (random.getstate, random.setstate),
    "random of numpy": (np.random.get_state, np.random.set_state),
    "random of torch": (torch.get_rng_state, torch.set_rng_state),
    "working folder": (os.getcwd, os.chdir),
    "file permissions": (current_umask, os.umask),
    "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "module path": (lambda: list(sys.path), lambda v: sys.path.__setitem__(slice(None), v)),
    "warning filters": (lambda: list(warnings.filters), _restore_warnings),
}


class ProcessState:
    """A copy of the state, made when it is created."""

    def __init__(self) -> None:
        self._flags = {name: read() for name, (read, _) in _FLAGS.items()}
        self._environ = dict(os.environ)
        root = logging.getLogger()
        self._logging = (root.level, list(root.handlers))

    def restore(self) -> None:
        """Puts everything back as it was."""
        for name, (_, put_back) in _FLAGS.items():
            put_back(self._flags[name])
        torch.set_default_device(None)
        for name in os.environ.keys() - self._environ.keys():
            del os.environ[name]
        for name, value in self._environ.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        root = logging.getLogger()
        root.setLevel(self._logging[0])
        root.handlers[:] = self._logging[1]
        if torch.cuda.is_available():
            gc.collect()  # a model may still be held by a cycle
            torch.cuda.empty_cache()


def configure_process(cfg: CfgNode) -> torch.device:
    """Seeds every generator, fixes thread counts and kernels as the config says, and returns the device to train on."""
    random.seed(cfg.SEED)
    np.random.seed(cfg.SEED)
    torch.manual_seed(cfg.SEED)  # all devices
    torch.set_num_threads(cfg.NUM_THREADS)
    cv2.setNumThreads(0)  # in the calling thread
    if cfg.DETERMINISTIC:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # asked for by torch.use_deterministic_algorithms
    torch.use_deterministic_algorithms(cfg.DETERMINISTIC)
    torch.backends.cudnn.benchmark = not cfg.DETERMINISTIC
    return pick_device()


def pick_device() -> torch.device:
    """Returns the device to train on: the first GPU of those visible, mps or cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def rng_state() -> dict[str, Any]:
    """Returns the state of all generators, in types that torch.load accepts with weights_only."""
    numpy = np.random.get_state(legacy=False)
    return {
        "python": random.getstate(),
        "numpy": {
            **numpy,
            "state": {**numpy["state"], "key": torch.from_numpy(numpy["state"]["key"].astype(np.int64))},
        },
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "mps": [torch.mps.get_rng_state()] if torch.backends.mps.is_available() else [],
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Puts all generators back to what `rng_state` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = state["numpy"]
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": numpy["state"]["key"].numpy().astype(np.uint32)}})
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    if state.get("mps") and torch.backends.mps.is_available():  # older checkpoints lack it
        torch.mps.set_rng_state(state["mps"][0])
