"""Training at a terminal: a progress bar, one line an epoch, and where everything is in the end."""

import logging
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from yacs.config import CfgNode

from configs.errors import ConfigError, ExitStatus
from configs.files import shown_path
from configs.metric_names import best_row
from trainable.environment import describe_environment, environment_differences, other_parts
from trainable.fit import fit
from trainable.log_file import log_to
from trainable.process_state import pick_device
from trainable.rehearsal import rehearse
from trainable.run_folder import RunFolder
from trainable.start_weights import hints
from trainable.training import Metrics
from trainable.update import TrainingDivergedError


class _LastingConsole(Console):
    """A console whose training goes on when nobody reads what it says any more, as behind `| head`."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def train_on_console(cfg: CfgNode, folder: RunFolder, resume: bool, recorded: dict[str, Any]) -> int:
    """Trains with progress on the terminal and returns the exit status.

    Args:
        cfg: a loaded config.
        folder: of the run.
        resume: go on from its newest checkpoint.
        recorded: the environment that the config's file records, whose differences are told.
    """
    console = _LastingConsole(highlight=False)
    rehearse(cfg)  # before a file is written
    with (
        folder.locked(is_new=not resume),
        log_to(folder.log, also_to_terminal=True),
        _progress(console, cfg.MODEL.SOLVER.TOTAL_EPOCHS) as on_step,
    ):
        _warn(cfg, recorded)

        def show(row: Metrics, checkpoint: Path) -> None:
            console.print(
                f"epoch {row['epoch']:>3}/{cfg.MODEL.SOLVER.TOTAL_EPOCHS}  train_loss {row['train_loss']:.4f}  "
                f"val_loss {row['val_loss']:.4f}  val_acc {row['val_acc']:.4f}  val_score {row['val_score']:.4f}  "
                f"{row['seconds']:.1f} s",
                soft_wrap=True,
            )

        try:
            rows = fit(cfg, show, folder, resume, on_step=on_step)
        except ConfigError as error:
            for problem in error.problems:
                logging.getLogger(__name__).info("%s", problem)
            raise
        except TrainingDivergedError as error:
            print(f"error: {error}", file=sys.stderr)
            return ExitStatus.NO_RESULT
        except KeyboardInterrupt:
            where = shlex.quote(cfg.OUTPUT_PATH)
            go_on = f"; resume with: python -m trainable.train -o {where} --resume" if folder.config.exists() else ""
            print(f"interrupted{go_on}", file=sys.stderr)
            return ExitStatus.INTERRUPTED
    best = best_row(cfg.BEST_METRIC, rows)
    where = shown_path(folder.path)
    console.print(
        f"best {cfg.BEST_METRIC} {best[cfg.BEST_METRIC]:.4f} in epoch {best['epoch']}; all files in {where}",
        soft_wrap=True,
    )
    return 0


def _warn(cfg: CfgNode, recorded: dict[str, Any]) -> None:
    """Says what may make other numbers than those that the config's file records, and which GPUs stay idle."""
    logger = logging.getLogger(__name__)
    here = describe_environment(pick_device(), cfg)
    different = environment_differences(recorded, here)
    if different:
        logger.warning("numbers may differ in their last digits: %s", different)
    for line in (*other_parts(recorded, here), *hints(cfg)):
        logger.warning("%s", line)
    devices = torch.cuda.device_count()
    if devices > 1:
        logger.warning("%d GPUs are visible and the first is used; CUDA_VISIBLE_DEVICES chooses another", devices)


@contextmanager
def _progress(console: Console, epochs: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("epoch 1")

        def on_step(epoch: int, step: int, steps: int) -> None:
            progress.update(bar, description=f"epoch {epoch}/{epochs}", completed=step, total=steps)

        yield on_step
