"""Turns raw images into processed ones, once: crops, pads and resizes them as DATASET says.

python -m data.make_dataset --cfg configs/experiments/bengali_mobilenet_v2.yaml
python -m data.make_dataset --cfg configs/experiments/bengali_mobilenet_v2.yaml DATASET.RESIZE_SHAPE "[128, 128]"
"""

import argparse
import sys
from collections.abc import Sequence

from configs.command_line import add_config_arguments, command_parser
from configs.errors import exit_status, with_sources
from configs.files import shown_path
from configs.loader import export_secrets, read_cfg
from configs.user_modules import import_user_modules
from data.build import processed_data
from data.processed import ProcessedData
from data.progress import image_progress


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser("data.make_dataset", __doc__, "Turns raw images into processed ones, once.")
    parser.add_argument("--force", action="store_true", help="make it again, though it is up to date")
    add_config_arguments(parser, "the experiment whose DATASET is made")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: make_dataset(args))


def make_dataset(args: argparse.Namespace) -> int:
    """Makes the processed data of a config, unless it is there and up to date."""
    loaded = read_cfg(args.cfg, args.pairs)
    for note in loaded.notes:
        print(f"note: {note}")
    export_secrets(loaded.cfg)
    with with_sources(loaded.sources):
        import_user_modules(loaded.cfg.USER_MODULES)
        return _make(processed_data(loaded.cfg.DATASET), args.force)


def _make(processed: ProcessedData, force: bool) -> int:
    where = shown_path(processed.path)
    if processed.exists() and not force:
        stale, damage = processed.staleness(), processed.damage()
        if not stale and not damage and processed.has_images():
            print(f"{where} is up to date; --force makes it again")
            return 0
        if stale or damage:
            print(f"{where} is {f'stale: {stale}' if stale else f'damaged: {damage}'}; making it again")
    with image_progress() as on_image:
        left_out = processed.make(on_image)
    data = processed.load()
    for line in data.remarks:
        print(line)
    height, width, channels = data.images.shape[1:]  # type: ignore[attr-defined]
    print(
        f"{where}: {len(data.labels) - len(left_out)} images of {height}x{width}x{channels}, "
        f"{len(data.train_indices)} to train and {len(data.val_indices)} to validate on"
    )
    print("classes: " + ", ".join(f"{task} {len(names)}" for task, names in data.classes.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
