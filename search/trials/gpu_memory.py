"""The share of a GPU's memory that a trial may take.

To Ray a fraction of a GPU is bookkeeping. Here `gpu: 0.25` gives a trial a quarter of what was free on its device when
the search began, less what its CUDA context takes, and torch refuses it more. So a trial that wants too much fails
alone, instead of taking the memory of those beside it.
"""

import gc
import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from yacs.config import CfgNode

from configs.errors import ConfigError
from search.trials.nvidia_smi import free_memory

CONTEXT = 600 * 2**20  # bytes that a context is taken to need where it could not be measured
LEAST_CONTEXT = 400 * 2**20  # bytes: the two images that are tried first load fewer kernels than a training
LARGEST_CONTEXT = 2**31  # bytes; if more is gone, another process has taken it meanwhile
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

logger = logging.getLogger(__name__)


class GpuShareExceededError(RuntimeError):
    """A trial needs more memory than its share of the GPU."""


@dataclass(frozen=True)
class GpuMemory:
    """What there is to share.

    Attributes:
        fraction: of a GPU that a trial asks for.
        free: bytes that were free on each device when the search began, by UUID; empty where nobody could measure.
        context: bytes that a process takes beside what torch allocates.
    """

    fraction: float
    free: dict[str, int]
    context: int = CONTEXT

    def limit(self, uuid: str, total: int) -> int:
        """Returns how many bytes torch may allocate for a trial.

        Args:
            uuid: of its device.
            total: bytes that the device has.
        """
        return max(0, int(self.fraction * self.free.get(uuid, total)) - self.context)

    def check(self) -> None:
        """Raises ConfigError if no device has anything left for a trial; some may be there that nobody uses."""
        if self.free and not any(self.limit(uuid, 0) for uuid in self.free):
            most = max(self.free.values())
            raise ConfigError(
                f"a trial gets {self.fraction:g} of a GPU on which {in_gib(most)} are free, which is less than the "
                f"{in_gib(self.context)} that its CUDA context takes; raise it with --gpus-per-trial or under "
                "search: resources, or free the GPU (nvidia-smi shows who uses it)"
            )


def free_before_context() -> dict[str, int]:
    """Returns what is free on each device before this process uses one; empty if it has used one already."""
    return {} if torch.cuda.is_initialized() else free_memory()


def context_size(free_before: dict[str, int]) -> int:
    """Returns the bytes that this process's context takes, CONTEXT where that cannot be told.

    Args:
        free_before: from `free_before_context`.
    """
    if torch.cuda.is_initialized() and (uuid := _uuid()) in free_before:
        gone = free_before[uuid] - free_memory().get(uuid, 0) - torch.cuda.memory_reserved()
        if 0 < gone <= LARGEST_CONTEXT:
            return max(gone, LEAST_CONTEXT)
    return CONTEXT


@contextmanager
def within_share(memory: GpuMemory | None, cfg: CfgNode) -> Iterator[None]:
    """Keeps this process within its share while a trial trains; afterwards it holds none of the trial's memory.

    Args:
        memory: what there is to share; None: the trial has asked for no GPU.
        cfg: of the trial.

    Raises:
        GpuShareExceededError: the trial wants more than its share, where the device could have given it the share.
    """
    if memory is None or not torch.cuda.is_available():
        yield
        return
    _, total = torch.cuda.mem_get_info()
    limit = memory.limit(_uuid(), total)
    torch.cuda.set_per_process_memory_fraction(min(limit / total, 1.0))
    torch.cuda.reset_peak_memory_stats()
    is_measured = _uuid() in memory.free
    logger.info(
        "GPU memory: this trial may take %s: %g of the %s that %s %s, less %s for the CUDA context",
        in_gib(limit),
        memory.fraction,
        in_gib(memory.free.get(_uuid(), total)),
        torch.cuda.get_device_name(),
        "had free when the search began" if is_measured else "has (what was free is not known)",
        in_gib(memory.context),
    )
    try:
        yield
    except BaseException as error:
        is_own = isinstance(error, torch.OutOfMemoryError) and _exceeds(limit, str(error))
        traceback.clear_frames(error.__traceback__)  # the functions of the training hold its model and its images
        if is_own:
            height, width = cfg.DATASET.RESIZE_SHAPE
            raise GpuShareExceededError(
                f"batch {cfg.DATASET.BATCH_SIZE} at {height if height == width else f'{height}x{width}'} px needs more "
                f"than {memory.fraction:g} of this GPU ({in_gib(limit)} of {in_gib(total)}); a smaller "
                "DATASET.BATCH_SIZE or a larger fraction (resources: gpu, --gpus-per-trial) helps"
            ) from error
        raise
    finally:
        logger.info(
            "GPU memory: at most %s were allocated, %s reserved",
            in_gib(torch.cuda.max_memory_allocated()),
            in_gib(torch.cuda.max_memory_reserved()),
        )
        gc.collect()  # a model may still be held by a cycle
        with suppress(RuntimeError):  # after an error of the device nothing can be asked of it, and the process ends
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(1.0)


def _exceeds(limit: int, message: str) -> bool:
    """Whether torch refused what goes beyond a limit, and not what the device did not have.

    What torch had reserved then it still has. What was asked for stands in its message alone; other processes may have
    given memory back since, so that what is free now says nothing.

    Args:
        limit: in bytes.
        message: of torch's OutOfMemoryError.
    """
    asked = re.search(r"Tried to allocate ([\d.]+) (\w+)", message)
    if asked is None or asked[2] not in _UNITS:
        return False
    return torch.cuda.memory_reserved() + float(asked[1]) * _UNITS[asked[2]] > limit


def _uuid() -> str:
    return str(torch.cuda.get_device_properties(0).uuid)


def in_gib(size: int) -> str:
    """Returns a number of bytes as people read it."""
    return f"{size / 2**30:.1f} GiB"
