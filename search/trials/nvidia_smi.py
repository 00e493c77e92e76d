"""What NVIDIA's tool says of the GPUs of this machine.

The tool is asked, not torch: asking torch makes a context, which takes memory itself, and importing it takes seconds.
"""

import subprocess

_COMMAND = ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits"]
_TIMEOUT = 20.0  # seconds that the driver may take to answer


def free_memory() -> dict[str, int]:
    """Returns the free bytes of each GPU, by UUID as torch writes it; empty where the tool is missing."""
    try:
        answer = subprocess.run(_COMMAND, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
        rows = [line.split(",") for line in answer.splitlines()]
        return {uuid.strip().removeprefix("GPU-"): int(mebibytes) * 2**20 for uuid, mebibytes in rows}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}
