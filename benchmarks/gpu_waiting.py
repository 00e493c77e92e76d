"""Where a training step waits: for data, for copies, for the host.

python benchmarks/gpu_waiting.py --out waiting.json [--epochs 3] [--tiny]

One training of small_training.py, alone on the device, without Ray. The host's shares come from clocks around the
loader and around the step; the device's from torch's profiler, in an epoch of its own, since the profiler slows the
host down. Host and device work at the same time, so that their shares do not add up to one.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.small_training import device_name, settings
from configs.loader import load_cfg
from configs.user_modules import import_user_modules
from data.build import build_dataset
from trainable.checkpoint import save_checkpoint
from trainable.process_state import configure_process
from trainable.training import Training


def train_epoch(training: Training) -> dict[str, float]:
    """Trains an epoch and returns its seconds: all of it, waiting for the loader, and in the calls of a step."""
    training.epoch += 1
    training.start_epoch()
    steps = training.loader.steps_per_epoch
    batches = training.loader.train_batches(training.epoch)
    waited = stepped = 0.0
    start = time.perf_counter()
    for step in range(steps):
        asked = time.perf_counter()
        images, labels = next(batches)
        given = time.perf_counter()
        training.train_batch(images, labels, step, steps)
        waited += given - asked
        stepped += time.perf_counter() - given
    if training.device.type == "cuda":
        torch.cuda.synchronize()
    return {"training": time.perf_counter() - start, "waited": waited, "stepped": stepped}


def device_seconds(training: Training) -> dict[str, float]:
    """Returns the seconds of an epoch that a GPU spends in kernels and in copies."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        train_epoch(training)
    seconds = {"kernels": 0.0, "copies": 0.0}
    for event in profiler.events():
        # An annotation spans kernels that are counted by themselves.
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False):
            is_copy = event.name.startswith(("Memcpy", "Memset"))
            seconds["copies" if is_copy else "kernels"] += event.time_range.elapsed_us() / 1e6
    return seconds


def main() -> int:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--epochs", type=int, default=3, help="that are timed, after one to warm up")
    parser.add_argument("--tiny", action="store_true", help="small enough for a CPU")
    args = parser.parse_args()
    cfg = load_cfg(None, [word for pair in settings(args.tiny).items() for word in pair])
    import_user_modules(cfg.USER_MODULES)
    device = configure_process(cfg)
    if device.type != "cuda" and not args.tiny:
        print("torch sees no GPU here; --tiny runs on a CPU", file=sys.stderr)
        return 1
    training = Training(cfg, build_dataset(cfg.DATASET), device)
    first = train_epoch(training)["training"]
    training.evaluate()
    timed, evaluated, saved = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.epochs):
            timed.append(train_epoch(training))
            start = time.perf_counter()
            training.evaluate()
            evaluated.append(time.perf_counter() - start)
            start = time.perf_counter()
            save_checkpoint(Path(folder, "latest.pt"), training.state_dict())
            saved.append(time.perf_counter() - start)
    medians = {name: statistics.median(one[name] for one in timed) for name in timed[0]}
    whole = medians["training"]
    shares = {"host_waits_for_data": medians["waited"] / whole, "host_in_steps": medians["stepped"] / whole}
    images = training.loader.steps_per_epoch * cfg.DATASET.BATCH_SIZE
    figures: dict[str, Any] = {
        "device": device_name(device),
        "images_per_second": round(images / whole, 1),
        "seconds_of_first_epoch": round(first, 3),
        "seconds_of_an_epoch": {
            "training": round(whole, 3),
            "evaluation": round(statistics.median(evaluated), 3),
            "checkpoint": round(statistics.median(saved), 3),
        },
        "shares_of_training": {name: round(share, 3) for name, share in shares.items()},
    }
    args.out.write_text(json.dumps(figures, indent=1) + "\n")  # the profiler may take long
    if device.type == "cuda":
        of_device = {name: seconds / whole for name, seconds in device_seconds(training).items()}
        of_device["nothing"] = max(0.0, 1 - sum(of_device.values()))
        figures["shares_of_training"] |= {f"device_in_{name}": round(share, 3) for name, share in of_device.items()}
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
