"""What NVIDIA's tool says of the GPUs of this machine.

The tool is asked, not torch: asking torch makes a context, which takes memory itself, and importing it takes seconds.
"""

import re
import subprocess

_COMMAND = ["nvidia-smi", "--query-gpu=uuid,memory.free", "--format=csv,noheader,nounits"]
_TIMEOUT = 20.0  # seconds that the driver may take to answer


def free_memory() -> dict[str, int]:
    """Returns the free bytes of each GPU, by UUID as torch writes it; those that the tool cannot tell are left out."""
    try:
        answer = subprocess.run(_COMMAND, capture_output=True, text=True, timeout=_TIMEOUT, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = re.findall(r"^GPU-(\S+), (\d+)$", answer, flags=re.MULTILINE)
    return {uuid: int(mebibytes) * 2**20 for uuid, mebibytes in rows}
