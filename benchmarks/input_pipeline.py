"""The input pipeline: images/s on one core, what each augmentation costs, and what preparing a folder once saves.

python benchmarks/input_pipeline.py [--size 128] [--images 500]
"""

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from configs.loader import load_cfg
from data.build import build_dataset
from data.image_data import ImageData
from data.loader import Loader

PHOTOGRAPHS = ("china", "flower")
PROBABILITIES = (
    *("BLURRING_PROB", "GAUSS_NOISE_PROB", "BRIGHTNESS_CONTRAST_PROB", "GRID_DISTORTION_PROB", "ROTATION_PROB"),
    *("HORIZONTAL_FLIP_PROB", "CUTOUT_PROB", "GRID_MASK_PROB", "AUGMIX.PROB"),
)


def seconds_per_image(data: ImageData, pairs: list[str]) -> float:
    """Returns the time to serve an epoch, a piece an image."""
    cfg = load_cfg(None, pairs)
    loader = Loader(data, cfg.DATASET, seed=0)
    best = float("inf")
    for epoch in (1, 2, 3):
        start = time.perf_counter()
        served = sum(len(labels) for _, labels in loader.train_batches(epoch))
        best = min(best, (time.perf_counter() - start) / served)
    return best


def folder_pairs(folder: Path, size: int, count: int) -> list[str]:
    """Writes crops of the photographs that scikit-learn ships, as JPEG, and returns the config that reads them."""
    package = find_spec("sklearn")
    assert package and package.submodule_search_locations
    places = [Path(package.submodule_search_locations[0], "datasets", "images", f"{name}.jpg") for name in PHOTOGRAPHS]
    rng = np.random.default_rng(0)
    for place in places:
        photograph = cv2.imread(str(place))
        (folder / "raw" / place.stem).mkdir(parents=True)
        for number in range(count // len(places)):
            top, left = rng.integers(photograph.shape[0] - 300), rng.integers(photograph.shape[1] - 400)
            crop = photograph[top : top + 300, left : left + 400]
            cv2.imwrite(str(folder / "raw" / place.stem / f"{number}.jpg"), crop)
    return [
        *("DATASET.NAME", "image_folder", "DATASET.PATH_DATA_RAW", str(folder / "raw")),
        *("DATASET.PATH_DATA_PROCESSED", str(folder / "processed"), "DATASET.RESIZE_SHAPE", f"[{size}, {size}]"),
    ]


def print_folder(size: int, count: int) -> None:
    """Prints how long an epoch takes from a folder that is prepared once, and decoded in every epoch."""
    with tempfile.TemporaryDirectory() as place:
        pairs = folder_pairs(Path(place), size, count)
        seconds = {}
        for cache in ("false", "true"):
            own = [*pairs, "DATASET.CACHE", cache]
            seconds[cache] = seconds_per_image(build_dataset(load_cfg(None, own).DATASET), own)
    print(f"a folder of {count} photographs of 400x300, without augmentation")
    print(f"{'decoded in every epoch':<28}{1 / seconds['false']:10.0f} images/s")
    print(f"{'prepared once':<28}{1 / seconds['true']:10.0f} images/s  {seconds['false'] / seconds['true']:.0f} times")


def main() -> int:
    """Prints a line for each augmentation alone, for none and for all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", type=int, default=128, help="height and width of the images")
    parser.add_argument("--images", type=int, default=500)
    args = parser.parse_args()
    cv2.setNumThreads(0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (args.images, args.size, args.size, 1), dtype=np.uint8)
    labels = rng.integers(0, 10, (args.images, 1))
    everything = np.arange(args.images)
    data = ImageData(images, labels, {"digit": tuple("0123456789")}, everything, everything[:1], is_prepared=True)
    common = ["DATASET.RESIZE_SHAPE", f"[{args.size}, {args.size}]", "DATASET.BATCH_SIZE", "50"]

    def measure(keys: tuple[str, ...]) -> float:
        return seconds_per_image(data, [*common, *(t for key in keys for t in (f"DATASET.AUGMENTATION.{key}", "1"))])

    none = measure(())
    print(f"grey images of {args.size}x{args.size}, one core")
    print(f"{'no augmentation':<28}{1 / none:10.0f} images/s")
    costs = {key: measure((key,)) - none for key in PROBABILITIES}
    for key, cost in sorted(costs.items(), key=lambda item: -item[1]):
        print(f"{key:<28}{1 / (cost + none):10.0f} images/s  {cost * 1e6:8.0f} us each")
    full = measure(PROBABILITIES[:-1])
    print(f"{'all but AUGMIX, each at 1':<28}{1 / full:10.0f} images/s")
    slowest = max(costs, key=lambda key: costs[key])
    print(f"limited by {slowest}: {costs[slowest] / sum(costs.values()):.0%} of the sum of all")
    print_folder(args.size, args.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
