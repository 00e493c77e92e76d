"""How many small trials a GPU should share: whole searches with 1, 2, 4 and 8 at a time, and a bare PyTorch loop.

python benchmarks/gpu_packing.py --out packing.json [--together 1 2 4 8] [--seconds 10] [--tiny]

Every search trains the same config on one Ray, with 1/n of the GPU a trial. What is counted lies between the first
epoch of the last worker to start and the end, `--seconds` later, so that start-up is left out and checkpoints,
evaluation and the change from one trial to the next are in. The bare loop does none of these: it copies batches to the
device and trains. The file is written anew after each search.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch.nn.functional import cross_entropy
from torch.optim import Adam
from yacs.config import CfgNode

from benchmarks.small_training import device_name, settings
from configs.loader import load_cfg
from configs.user_modules import import_user_modules
from data.build import build_dataset
from data.image_data import ImageData
from data.loader import to_model_input
from search.folder import SearchFolder
from search.record.event_log import EventLog
from search.record.events import EpochReported
from search.run import main as run_search_command
from search.trials.ray_environment import prepare_ray_environment
from trainable.meta_arch.build import build_model
from trainable.precision import autocast
from trainable.process_state import ProcessState, configure_process, pick_device

LONGEST_START = 90.0  # seconds until all workers must have reported
QUERY = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "250"]


@contextlib.contextmanager
def metered() -> Iterator[list[tuple[float, float, float]]]:
    """Yields a list that grows by time, percent of utilisation and used MiB of the first GPU, while the block runs."""
    with tempfile.TemporaryFile("w+") as answers:
        try:
            tool = subprocess.Popen([*QUERY, "-i", "0"], stdout=answers, stderr=subprocess.DEVNULL)
        except OSError:  # no NVIDIA GPU here
            yield []
            return
        start, readings = time.time(), []
        try:
            yield readings
        finally:
            tool.terminate()
            tool.wait()
            answers.seek(0)
            rows = [line.split(",") for line in answers if line.count(",") == 1]
            seconds = (time.time() - start) / max(1, len(rows))
            with contextlib.suppress(ValueError):  # [N/A]
                readings += [(start + seconds * n, float(row[0]), float(row[1])) for n, row in enumerate(rows)]


def bare_rate(cfg: CfgNode, data: ImageData, seconds: float) -> float:
    """Returns images per second of the shortest loop that trains the same model, after a pass to warm up."""
    device = configure_process(cfg)
    model, resolved = build_model(cfg, data.classes)
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = Adam(model.parameters(), lr=cfg.MODEL.SOLVER.OPTIMIZER.BASE_LR)
    images = torch.from_numpy(np.asarray(data.images)[data.train_indices]).permute(0, 3, 1, 2).contiguous()
    labels = torch.from_numpy(data.labels[data.train_indices, 0])
    size = cfg.DATASET.BATCH_SIZE

    def train_once() -> None:
        for first in range(0, len(images) - size + 1, size):
            inputs = to_model_input(images[first : first + size], resolved.DATASET, device)
            with autocast(cfg.MODEL.SOLVER.AMP, device):
                logits = model(inputs.contiguous(memory_format=torch.channels_last))[0]
            optimizer.zero_grad()
            loss = cross_entropy(logits, labels[first : first + size].to(device))
            loss.backward()
            optimizer.step()
        loss.item()  # a GPU has come to its end

    train_once()
    start, passes = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        train_once()
        passes += 1
    return passes * (len(images) // size) * size / (time.perf_counter() - start)


def reports(output: Path) -> list[tuple[float, int]]:
    """Returns when epochs were reported, and by which process."""
    events = EventLog(SearchFolder(output).events).read()
    return [(event.time, event.pid) for event in events if isinstance(event, EpochReported)]


def all_at_work(reported: list[tuple[float, int]], together: int) -> float | None:
    """Returns when the last of the workers reported its first epoch, None while fewer have reported."""
    firsts: dict[int, float] = {}
    for when, pid in reported:
        firsts.setdefault(pid, when)
    return max(firsts.values()) if len(firsts) >= together else None


@contextlib.contextmanager
def interrupted_when_counted(output: Path, together: int, seconds: float) -> Iterator[None]:
    """Ends the search that runs in the block, as Ctrl-C does, when its workers have trained together long enough."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.2):
            start = all_at_work(reports(output), together)
            if start and time.time() > start + seconds:
                os.kill(os.getpid(), signal.SIGINT)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def measure(together: int, seconds: float, cfg: CfgNode, folder: Path, address: str, cpus: float) -> dict[str, Any]:
    """Searches with so many trials at a time and returns its figures."""
    space = folder / f"together_{together}.yaml"
    tree = {
        "base": "base.yaml",
        "search": {
            "num_samples": 10_000,
            "reference": False,
            "time_budget": LONGEST_START + seconds,
            "sampler": "random",
            "scheduler": "none",
            "resources": {"cpu": cpus, "gpu": 1 / together},
        },
        "space": {"MODEL.SOLVER.OPTIMIZER.BASE_LR": {"loguniform": [1e-4, 1e-2]}},
    }
    space.write_text(yaml.safe_dump(tree))
    output = folder / f"search_{together}"
    with metered() as readings, interrupted_when_counted(output, together, seconds):
        status = run_search_command(["--space", str(space), "-o", str(output), "--address", address])
    figures: dict[str, Any] = {"together": together, "status": status}
    reported = reports(output)
    start = all_at_work(reported, together)
    epochs = sum(start < when for when, _ in reported) if start else 0
    if not start or not epochs:
        return figures | {"note": f"it ended before all of {together} workers had trained"}
    end = max(when for when, _ in reported)
    per_second = epochs / (end - start)
    batch = cfg.DATASET.BATCH_SIZE
    figures |= {
        "counted_seconds": round(end - start, 2),
        "epochs": epochs,
        "images_per_second": round(per_second * (len(build_dataset(cfg.DATASET).train_indices) // batch) * batch, 1),
        "trials_per_hour": round(per_second / cfg.MODEL.SOLVER.TOTAL_EPOCHS * 3600, 1),
    }
    meanwhile = [reading for reading in readings if start <= reading[0] <= end]
    if meanwhile:
        figures["gpu_utilisation_percent"] = round(sum(percent for _, percent, _ in meanwhile) / len(meanwhile), 1)
        figures["peak_memory_mib"] = max(used for _, _, used in meanwhile)
    return figures


def main() -> int:
    """Measures and writes the figures; the status is 1 if a search did not give any."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--together", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--seconds", type=float, default=10, help="that are counted of each search")
    parser.add_argument("--tiny", action="store_true", help="small enough for a CPU")
    args = parser.parse_args()
    prepare_ray_environment(address=None)
    import ray  # reads its environment when it is imported
    from ray.cluster_utils import Cluster

    values = settings(args.tiny)
    cfg = load_cfg(None, [word for pair in values.items() for word in pair])
    import_user_modules(cfg.USER_MODULES)
    cores = len(os.sched_getaffinity(0))
    cpus = max(1, cores // max(args.together))  # the same for all, so that only the sharing differs
    before = ProcessState()
    device = pick_device()
    if device.type != "cuda" and not args.tiny:
        print("torch sees no GPU here; --tiny runs on a CPU", file=sys.stderr)
        return 1
    bare = bare_rate(cfg, build_dataset(cfg.DATASET), 1 if args.tiny else 5)
    before.restore()
    figures: dict[str, Any] = {
        "device": device_name(device),
        "cpus_per_trial": cpus,
        "config": values,
        "bare_images_per_second": round(bare, 1),
    }
    figures["searches"] = []
    with tempfile.TemporaryDirectory(prefix="packing-", dir="/tmp", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        (folder / "base.yaml").write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
        os.makedirs("/tmp/ray", exist_ok=True)  # where Ray notes the address, whatever its temp_dir
        head = {
            "num_cpus": max(cores, cpus * max(args.together)),
            "num_gpus": 1,  # all share it; a logical one where there is none
            "include_dashboard": False,
            "temp_dir": f"{folder}/ray",
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for together in args.together:
                one = measure(together, args.seconds, cfg, folder, cluster.address, cpus)
                if "images_per_second" in one:
                    one["share_of_bare"] = round(one["images_per_second"] / bare, 3)
                figures["searches"].append(one)
                args.out.write_text(json.dumps(figures, indent=1) + "\n")
                print(json.dumps(one), flush=True)
        finally:
            cluster.shutdown()
            ray.shutdown()
    return int(not all("images_per_second" in one for one in figures["searches"]))


if __name__ == "__main__":
    sys.exit(main())
