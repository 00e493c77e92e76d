"""Suggests a learning rate: trains a few batches at rates from small to large and looks where the loss is lowest.

python -m trainable.find_lr --cfg configs/experiments/digits.yaml
python -m trainable.find_lr --cfg configs/experiments/digits.yaml -o experiments/lr --steps 200
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from yacs.config import CfgNode

from configs.command_line import add_config_arguments, command_parser
from configs.errors import ConfigError, exit_status, with_sources
from configs.figures import NO_MATPLOTLIB, new_figure, save_figure
from configs.files import shown_path, write_atomically
from configs.loader import export_secrets, read_cfg, with_values
from configs.user_modules import check_user_modules, import_user_modules
from data.build import build_dataset, check_data

if TYPE_CHECKING:
    from trainable.training import Training

LOWEST, HIGHEST = 1e-7, 10.0  # rates that are tried
SMOOTHING = 0.9  # of the moving average of the losses
DIVERGED = 4.0  # the test ends when the smoothed loss is so many times its lowest


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser("trainable.find_lr", __doc__, "Suggests a learning rate by the range test of Smith (2017).")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        default="experiments/find_lr",
        help="for lr_range.png and .csv, which are replaced",
    )
    parser.add_argument("--steps", metavar="N", type=int, default=100, help="rates to try (default: 100)")
    add_config_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: find_lr(args))


def find_lr(args: argparse.Namespace) -> int:
    """Runs the test, writes curve and picture, and prints the suggestion."""
    if args.steps < 20:
        raise ConfigError(f"--steps: found {args.steps}, allowed is at least 20")
    if Path(args.output).is_file():
        raise ConfigError(f"-o: {args.output} is a file; give a folder")
    loaded = read_cfg(args.cfg, args.pairs)
    for note in loaded.notes:
        print(f"note: {note}")
    export_secrets(loaded.cfg)
    with with_sources(loaded.sources):
        check_user_modules(loaded.cfg.USER_MODULES)
        for line in check_data(loaded.cfg):
            print(f"data: {line}")
        print("importing torch ...", flush=True)
        return _find_lr(loaded.cfg, args.steps, Path(args.output))


def _find_lr(cfg: CfgNode, steps: int, folder: Path) -> int:
    from trainable.process_state import configure_process
    from trainable.rehearsal import rehearse
    from trainable.training import Training

    cfg = with_values(
        cfg,
        {
            "MODEL.SOLVER.SCHEDULER.NAME": "unchange",
            "MODEL.SOLVER.ACCUMULATION_STEPS": 1,  # each step is an update at a rate of its own
            "MODEL.SOLVER.MAX_SKIPPED_STEPS": steps,  # losses that are not finite are part of the test
        },
    )
    rehearse(cfg)
    import_user_modules(cfg.USER_MODULES)
    device = configure_process(cfg)
    training = Training(cfg, build_dataset(cfg.DATASET), device)
    rates, losses = range_test(training, steps)
    best = suggested_rate(rates, losses)

    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{rate!r},{loss!r}\n" for rate, loss in zip(rates, losses, strict=True))
    write_atomically(folder / "lr_range.csv", f"lr,loss\n{rows}")
    _draw(folder / "lr_range.png", rates, losses, best)
    print(f"tried {len(rates)} rates from {rates[0]:.0e} to {rates[-1]:.1e}: {shown_path(folder / 'lr_range.png')}")
    print(f"suggested: MODEL.SOLVER.OPTIMIZER.BASE_LR {best:.2e}")
    return 0


def range_test(training: "Training", steps: int) -> tuple[list[float], list[float]]:
    """Trains a batch at each rate and returns rates and smoothed losses, until the loss explodes.

    Args:
        training: in its first state.
        steps: rates from LOWEST to HIGHEST, evenly spaced in their logarithm.
    """
    from trainable.solver.schedule import rate_factors

    factors = rate_factors(training.optimizer)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    training.start_epoch()
    for step, (images, labels) in enumerate(_batches(training, steps)):
        rate = LOWEST * (HIGHEST / LOWEST) ** (step / (steps - 1))
        for group, factor in zip(training.optimizer.param_groups, factors, strict=True):
            group["lr"] = rate * factor
        loss = training.train_batch(images, labels, step, steps)[2].item()
        if not math.isfinite(loss):
            break
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        rates.append(rate)
        losses.append(mean / (1 - SMOOTHING ** (step + 1)))  # without the weight of the start at 0
        if losses[-1] > DIVERGED * min(losses):
            break
    return rates, losses


def suggested_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """Returns a tenth of the rate at which the smoothed loss is lowest: large, with room before training explodes.

    Raises:
        ConfigError: the loss never falls.
    """
    lowest = losses.index(min(losses)) if losses else 0
    if lowest == 0:
        raise ConfigError("the loss falls at none of the rates; look at the data and at MODEL.SOLVER.OPTIMIZER")
    return rates[lowest] / 10


def _batches(training: "Training", count: int) -> Iterator[tuple]:
    epoch = 0
    while True:
        epoch += 1
        for batch in training.loader.train_batches(epoch):
            yield batch
            count -= 1
            if count == 0:
                return


def _draw(path: Path, rates: Sequence[float], losses: Sequence[float], best: float) -> None:
    try:
        figure = new_figure(7, 4)
    except ImportError:
        print(f"no picture: {NO_MATPLOTLIB}", file=sys.stderr)
        return
    axes = figure.subplots()
    axes.semilogx(rates, losses)
    axes.axvline(best, linestyle="--", color="tab:red", label=f"suggested: {best:.2e}")
    axes.set(
        xlabel="learning rate", ylabel="smoothed training loss", ylim=(None, losses[0] + (losses[0] - min(losses)) / 2)
    )
    axes.legend()
    save_figure(figure, path)


if __name__ == "__main__":
    sys.exit(main())
