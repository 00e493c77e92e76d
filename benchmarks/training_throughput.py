"""Training throughput: our loop against a bare PyTorch loop over tensors in memory, same model, no augmentation.

python benchmarks/training_throughput.py [--repeats 5]

The bare loop is what one would write first: torch's Adam as it comes, no check for NaN, no metrics. Both train the same
number of batches in turns within one process, so that a noisy machine hits both alike. The ratio
is that of the medians.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from torch import nn

from configs.loader import load_cfg
from data.image_data import ImageData
from trainable.meta_arch.build import build_model
from trainable.process_state import configure_process
from trainable.training import Training

IMAGES, SIZE = 1024, 64
CLASSES = {"root": tuple(map(str, range(168))), "vowel": tuple(map(str, range(11)))}


def random_data() -> ImageData:
    """Returns random grey images with two tasks."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES + 32, SIZE, SIZE, 1), dtype=np.uint8)
    labels = np.stack([rng.integers(0, len(names), len(images)) for names in CLASSES.values()], axis=1)
    everything = np.arange(len(images))
    return ImageData(images, labels, CLASSES, everything[:IMAGES], everything[IMAGES:], is_prepared=True)


def bare_epoch(model: nn.Module, optimizer, inputs: torch.Tensor, labels: torch.Tensor, batch_size: int) -> float:
    """Trains an epoch as simply as it can be written, and returns its seconds."""
    start = time.perf_counter()
    model.train()
    loss_function = nn.CrossEntropyLoss()
    for first in range(0, len(inputs), batch_size):
        batch, wanted = inputs[first : first + batch_size], labels[first : first + batch_size]
        optimizer.zero_grad()
        loss = sum(loss_function(logits, wanted[:, task]) for task, logits in enumerate(model(batch)))
        loss.backward()
        optimizer.step()
    loss.item()  # a GPU has come to its end
    return time.perf_counter() - start


def our_epoch(training: Training) -> float:
    """Trains an epoch as trainable.fit does, without evaluation, and returns its seconds."""
    start = time.perf_counter()
    training.epoch += 1
    training.train_epoch(lambda epoch, step, steps: None)
    return time.perf_counter() - start


def main() -> int:
    """Compares the loops for some models."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    data = random_data()
    for backbone, batch_size in (("resnet18", 32), ("mobilenet_v2", 32), ("test_resnet", 16)):
        cfg = load_cfg(
            None,
            [
                *("MODEL.BACKBONE.NAME", backbone, "MODEL.BACKBONE.RGB", "false", "DATASET.TO_RGB", "false"),
                *("DATASET.RESIZE_SHAPE", f"[{SIZE}, {SIZE}]", "DATASET.BATCH_SIZE", str(batch_size)),
            ],
        )
        device = configure_process(cfg)
        training = Training(cfg, data, device)
        model = build_model(cfg, data.classes)[0].to(device)
        optimizer = torch.optim.Adam(model.parameters(), lr=cfg.MODEL.SOLVER.OPTIMIZER.BASE_LR)
        images = torch.from_numpy(np.asarray(data.images[:IMAGES])).permute(0, 3, 1, 2)
        inputs = training.to_input(images)
        labels = torch.from_numpy(data.labels[:IMAGES]).to(device)
        bare, ours = [], []
        for repeat in range(repeats + 1):
            pair = bare_epoch(model, optimizer, inputs, labels, batch_size), our_epoch(training)
            if repeat:  # the first is for warming up
                bare.append(pair[0])
                ours.append(pair[1])
        ratio = statistics.median(bare) / statistics.median(ours)
        print(
            f"{backbone:<14} batch {batch_size:<3} bare {IMAGES / statistics.median(bare):7.1f} images/s, "
            f"ours {IMAGES / statistics.median(ours):7.1f} images/s: {ratio:.1%}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
