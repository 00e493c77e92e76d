"""All that only a machine with a GPU can show, in one command of at most ten minutes; docs/gpu.md keeps the figures.

python benchmarks/on_gpu.py --out DIR [--only STEP ...] [--tiny]

  tests     pytest -m gpu: whole searches on fractions of the device, exactness, memory, errors, a killed search
  packing   how many small trainings should share the device (gpu_packing.py)
  waiting   where a training step waits (gpu_waiting.py)
  mps       the packing again under NVIDIA's MPS, where its daemon is installed

They run in this order, each in a process and with a time limit of its own; one that fails does not end the others.
DIR gets found.json (the machine and its versions) at once, and STEP.log and STEP.json when a step ends: what became of
it, its seconds, its figures. No network is needed. On CPUs, with --tiny, all of it runs as well, the tests skipped.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MPS = "nvidia-cuda-mps-control"
MARK = "YACSTUNE_ON_GPU"  # in the environment of all that a step starts
PATIENCE = 10.0  # seconds that a step gets to end when its time is over


@dataclass(frozen=True)
class Step:
    """A step.

    Attributes:
        limit: seconds.
        command: given the path of its JSON and whether it is to be tiny.
        figures: made of what it has left, given the same path.
    """

    limit: float
    command: Callable[[Path, bool], list[str]]
    figures: Callable[[Path], Any]


def test_command(out: Path, is_tiny: bool) -> list[str]:
    """Names the files that have tests for a GPU: the others may need packages that are not here."""
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    options = ["-o", "addopts=", "--import-mode=importlib", "-v", f"--junitxml={out.with_suffix('.xml')}"]
    return [sys.executable, "-m", "pytest", "-m", "gpu", *options, *files]


def test_figures(out: Path) -> Any:
    """Returns outcome and seconds of each test; of a step that was ended, what its log says."""
    report = out.with_suffix(".xml")
    outcomes: dict[str, Any] = {}
    if not report.exists():
        printed = out.with_suffix(".log").read_text()
        return {name: {"outcome": word.lower()} for name, word in re.findall(r"::(\S+) ([A-Z]+) +\[", printed)}
    for case in ElementTree.parse(report).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if bad is None else f"{bad.tag}: {bad.get('message', '')}"
        outcomes[case.get("name", "")] = {"outcome": outcome[:500], "seconds": float(case.get("time", 0))}
    report.unlink()
    return outcomes


def benchmark(name: str, *options: str, tiny: tuple[str, ...] = ()) -> Callable[[Path, bool], list[str]]:
    """Returns what makes the command of a benchmark beside this file."""

    def command(out: Path, is_tiny: bool) -> list[str]:
        script = str(ROOT / "benchmarks" / name)
        return [sys.executable, script, "--out", str(out), *(("--tiny", *tiny) if is_tiny else options)]

    return command


def read_figures(out: Path) -> Any:
    """Returns what a benchmark has written so far."""
    return json.loads(out.read_text())


TINY_PACKING = ("--together", "2", "--seconds", "1")
STEPS = {
    "tests": Step(230, test_command, test_figures),
    "packing": Step(200, benchmark("gpu_packing.py", tiny=TINY_PACKING), read_figures),
    "waiting": Step(50, benchmark("gpu_waiting.py", tiny=("--epochs", "1")), read_figures),
    "mps": Step(115, benchmark("gpu_packing.py", "--together", "4", "8", tiny=TINY_PACKING), read_figures),
}


def found() -> dict[str, Any]:
    """Returns what this machine has."""
    import torch

    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "devices": [{"name": one.name, "gib": round(one.total_memory / 2**30, 1)} for one in devices],
        "driver": answer_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "cuda": torch.version.cuda,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in ("torch", "timm", "ray", "optuna")},
        MPS: shutil.which(MPS),
    }


def answer_of(*command: str) -> str | None:
    """Returns the first line that a command prints, None if it does not run."""
    try:
        printed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return (printed.splitlines() or [None])[0]


@contextlib.contextmanager
def mps_daemon() -> Iterator[dict[str, str]]:
    """Runs a daemon of our own, in a private folder, while the block runs; yields the variables that lead to it."""
    with tempfile.TemporaryDirectory(prefix="mps-", dir="/tmp") as folder:
        where = {f"CUDA_MPS_{what}_DIRECTORY": f"{folder}/{what.lower()}" for what in ("PIPE", "LOG")}
        for path in where.values():
            os.mkdir(path, 0o700)
        environment = os.environ | where
        subprocess.run([MPS, "-d"], env=environment, check=True, timeout=20)
        try:
            yield where
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run([MPS], input="quit\n", text=True, env=environment, check=False, timeout=20)


def run_step(name: str, out: Path, limit: float, is_tiny: bool) -> dict[str, Any]:
    """Runs a step and returns what became of it."""
    step = STEPS[name]
    result: dict[str, Any] = {"step": name}
    for suffix in (".json", ".xml"):  # of an earlier run
        out.with_suffix(suffix).unlink(missing_ok=True)
    start = time.monotonic()
    try:
        with mps_daemon() if name == "mps" else contextlib.nullcontext({}) as variables:
            status = run_limited(step.command(out, is_tiny), out.with_suffix(".log"), limit, variables)
        result["outcome"] = "out of time" if status is None else "done" if status == 0 else f"failed with {status}"
    except (OSError, subprocess.SubprocessError) as error:
        result["outcome"] = f"failed: {error}"
    result["seconds"] = round(time.monotonic() - start, 1)
    with contextlib.suppress(OSError, ValueError, ElementTree.ParseError):  # it may have left nothing
        result["figures"] = step.figures(out)
    return result


def run_limited(command: list[str], log: Path, limit: float, variables: dict[str, str]) -> int | None:
    """Runs a command and returns its status, None if its time was over; leaves none of its processes behind."""
    mark = secrets.token_hex(8)
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # it need not be installed
    environment = os.environ | variables | {MARK: mark, "PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths)}
    with open(log, "w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)  # kindly: what is known by then is written
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            return None
        finally:
            kill_marked(mark)
            process.wait()


def kill_marked(mark: str) -> None:
    """Kills all processes that have the mark in their environment: Ray's are in sessions of their own."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is somebody else's
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)


def main() -> int:
    """Runs the steps; the status is 1 if one of them did not come to its end."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--limit", type=float, default=560, help="seconds of all steps together")
    parser.add_argument("--tiny", action="store_true", help="small enough for CPUs, with a logical GPU of Ray's")
    args = parser.parse_args()
    start = time.monotonic()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    here = found()
    (out / "found.json").write_text(json.dumps(here, indent=1) + "\n")
    print(json.dumps(here), flush=True)
    outcomes = []
    for name in (name for name in STEPS if name in args.only):
        left = args.limit - (time.monotonic() - start)
        if name == "mps" and here[MPS] is None:
            result = {"step": name, "outcome": f"skipped: there is no {MPS} here"}
        elif left <= 0:
            result = {"step": name, "outcome": f"skipped: {args.limit:g} s are over"}
        else:
            result = run_step(name, out / f"{name}.json", min(left, STEPS[name].limit), args.tiny)
        (out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(f"{name}: {result['outcome']}, {result.get('seconds', 0)} s", flush=True)
        outcomes.append(result["outcome"])
    return int(not all(outcome == "done" or outcome.startswith("skipped") for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
