"""Makes images in the layout of Kaggle's bengaliai-cv19, to try things with.

python -m data.make_synthetic --out data/raw/synthetic --images 4000
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from configs.command_line import command_parser
from configs.errors import ConfigError, exit_status
from configs.files import shown_path
from data.bengali import CLASS_COUNTS, HEIGHT, WIDTH
from data.synthetic import draw, unbalanced_labels

PARTS = 4


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "data.make_synthetic", __doc__, "Makes images in the layout of Kaggle's bengaliai-cv19, to try things with."
    )
    parser.add_argument("--out", metavar="DIR", required=True, help="folder for the files")
    parser.add_argument("--images", type=int, default=4000, help="training images (default: 4000)")
    parser.add_argument("--test-images", type=int, default=12, help="test images without labels (default: 12)")
    parser.add_argument("--seed", type=int, default=0, help="of labels and drawings (default: 0)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_args(argv)
    return exit_status(lambda: make_synthetic(Path(args.out), args.images, args.test_images, args.seed))


def make_synthetic(folder: Path, images: int, test_images: int, seed: int) -> int:
    """Writes the files of Kaggle's data set.

    Args:
        folder: for the files; must not hold such files yet.
        images: number of training images, at least one for each root.
        test_images: number of test images.
        seed: of labels and drawings.

    Raises:
        ConfigError: the folder is in use, or there are too few images.
    """
    roots = CLASS_COUNTS["grapheme_root"]
    if images < roots:
        raise ConfigError(f"--images: found {images}, allowed is at least {roots}, one for each root")
    if test_images < PARTS:
        raise ConfigError(f"--test-images: found {test_images}, allowed is at least {PARTS}, one for each file")
    if seed < 0:
        raise ConfigError(f"--seed: found {seed}, allowed is at least 0")
    if any(folder.glob("*.parquet")) or any(folder.glob("*.csv")):
        raise ConfigError(f"--out: {folder} holds a data set already; choose another folder or remove its files")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    labels = unbalanced_labels(images, rng)
    ids = [f"Train_{number}" for number in range(images)]
    _write_parts(folder, "train", ids, labels, rng)
    rows = [
        ",".join([image_id, *map(str, row), _grapheme(row)]) for image_id, row in zip(ids, labels.tolist(), strict=True)
    ]
    _write_csv(folder / "train.csv", ["image_id", *CLASS_COUNTS, "grapheme"], rows)

    ids = [f"Test_{number}" for number in range(test_images)]
    _write_parts(
        folder, "test", ids, np.stack([rng.integers(c, size=test_images) for c in CLASS_COUNTS.values()], 1), rng
    )
    tasks = ("consonant_diacritic", "grapheme_root", "vowel_diacritic")  # in Kaggle's order
    pairs = [(image_id, task) for image_id in ids for task in tasks]
    _write_csv(folder / "test.csv", ["row_id", "image_id", "component"], [f"{i}_{t},{i},{t}" for i, t in pairs])
    _write_csv(folder / "sample_submission.csv", ["row_id", "target"], [f"{i}_{t},0" for i, t in pairs])
    components = [f"{task},{label},{task[0]}{label}" for task, count in CLASS_COUNTS.items() for label in range(count)]
    _write_csv(folder / "class_map.csv", ["component_type", "label", "component"], components)
    print(f"{shown_path(folder)}: {images} training and {test_images} test images")
    return 0


def _grapheme(labels: Sequence[int]) -> str:
    return "".join(f"{task[0]}{label}" for task, label in zip(CLASS_COUNTS, labels, strict=True))


def _write_parts(folder: Path, kind: str, ids: list[str], labels: np.ndarray, rng: np.random.Generator) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["image_id", *(str(pixel) for pixel in range(HEIGHT * WIDTH))]
    for part, numbers in enumerate(np.array_split(np.arange(len(ids)), PARTS)):
        images = np.stack([draw(root, vowel, consonant, rng) for root, vowel, consonant in labels[numbers].tolist()])
        columns = np.ascontiguousarray(images.reshape(len(numbers), -1).T)
        arrays = [pa.array([ids[number] for number in numbers]), *(pa.array(column) for column in columns)]
        table = pa.table(arrays, names=names)
        # a dictionary for each of 32,332 columns would take longer than the pixels
        pq.write_table(table, folder / f"{kind}_image_data_{part}.parquet", use_dictionary=False)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[str]) -> None:
    path.write_text("\n".join([",".join(header), *rows]) + "\n")


if __name__ == "__main__":
    sys.exit(main())
