"""What this machine does: processors, memory, GPUs."""

import time
from dataclasses import dataclass

import psutil

from search.trials.nvidia_smi import ask

_TIMEOUT = 2.0  # seconds that the driver may take to answer
EVERY = 5.0  # seconds between two questions to it, which takes some tens of milliseconds


@dataclass(frozen=True)
class Gpu:
    """A GPU: how busy it is in percent, its memory in GiB."""

    percent: float
    used: float
    total: float


class Machine:
    """Says how busy this machine is. A GPU that its driver cannot tell of is left out."""

    def __init__(self) -> None:
        psutil.cpu_percent()  # the next call tells of the time since this one
        self._gpus: list[Gpu] = []
        self._has_gpus = True
        self._asked = -EVERY

    def describe(self) -> str:
        """Returns it in a line."""
        memory = psutil.virtual_memory()
        used, total = (memory.total - memory.available) / 2**30, memory.total / 2**30
        parts = [f"CPU {psutil.cpu_percent():.0f} %", f"memory {used:.1f} of {total:.1f} GiB"]
        parts += [
            f"GPU {number}: {gpu.percent:.0f} %, {gpu.used:.1f} of {gpu.total:.1f} GiB"
            for number, gpu in enumerate(self.gpus())
        ]
        return "   ".join(parts)

    def gpus(self) -> list[Gpu]:
        """Returns the GPUs as they were in the last seconds."""
        if self._has_gpus and time.monotonic() - self._asked >= EVERY:
            self._asked = time.monotonic()
            answer = ask("utilization.gpu,memory.used,memory.total", _TIMEOUT)
            try:
                self._gpus = [_gpu(line) for line in (answer or "").splitlines()]
            except ValueError:
                answer, self._gpus = None, []
            self._has_gpus = answer is not None
        return self._gpus


def _gpu(line: str) -> Gpu:
    percent, used, total = (float(value) for value in line.split(","))
    return Gpu(percent, used / 1024, total / 1024)
