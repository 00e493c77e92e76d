"""What NVIDIA's tool says of the GPUs of this machine.

The tool is asked, not torch: asking torch makes a context, which takes memory itself, and importing it takes seconds.
"""

import re
import subprocess


def ask(fields: str, timeout: float = 20.0) -> str | None:
    """Returns a line for each GPU with the fields that are asked for, None if the tool is not there or does not answer.

    Args:
        fields: as in `uuid,memory.free`; memory is told in MiB.
        timeout: seconds that the driver may take to answer.
    """
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def free_memory() -> dict[str, int]:
    """Returns the free bytes of each GPU, by UUID as torch writes it; those that the tool cannot tell are left out."""
    rows = re.findall(r"^GPU-(\S+), (\d+)$", ask("uuid,memory.free") or "", flags=re.MULTILINE)
    return {uuid: int(mebibytes) * 2**20 for uuid, mebibytes in rows}
