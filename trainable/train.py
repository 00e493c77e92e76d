"""Trains one config.

python -m trainable.train -o experiments/digits --cfg configs/experiments/digits.yaml
python -m trainable.train -o experiments/big --cfg configs/experiments/digits.yaml DATASET.BATCH_SIZE 64
python -m trainable.train -o experiments/digits --resume
python -m trainable.train --cfg experiments/head/best.yaml --verify
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from configs.command_line import add_config_arguments, command_parser, refuse_url
from configs.defaults import KEYS
from configs.dump import recorded_environment
from configs.errors import ConfigError, ExitStatus, collect_errors, exit_status, with_sources
from configs.explain import explain_all, keys_named
from configs.loader import (
    FREE_ON_RESUME,
    LoadedConfig,
    as_begun,
    differences,
    export_secrets,
    load_cfg,
    read_cfg,
    shown,
    with_values,
)
from configs.user_modules import check_user_modules
from data.build import check_data
from trainable.recorded_curve import recorded_curve
from trainable.run_folder import RunFolder


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "trainable.train", __doc__, "Trains one config and leaves checkpoints, metrics and config in a folder."
    )
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of the run; wins over OUTPUT_PATH")
    parser.add_argument("--resume", action="store_true", help="go on in a folder that a run has left")
    parser.add_argument(
        "--verify",
        metavar="N",
        nargs="?",
        const="all",
        type=_read_epochs,
        help="train again and compare with the curve that the config's file records, or with its first N epochs",
    )
    parser.add_argument("--explain", metavar="KEY", help="say where the value of a key comes from, and train nothing")
    add_config_arguments(parser)
    return parser


def _read_epochs(text: str) -> int | str:
    if text == "all" or (text.isdecimal() and int(text) > 0):
        return text if text == "all" else int(text)
    raise argparse.ArgumentTypeError(f"found {text!r}, allowed is a number of epochs (write it last, or --verify=3)")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_intermixed_args(argv)
    return exit_status(lambda: train(args))


def train(args: argparse.Namespace) -> int:
    """Checks everything that can be checked without torch, then trains."""
    cfg_path = args.cfg
    if args.resume and not cfg_path and args.output and RunFolder(args.output).config.exists():
        cfg_path = RunFolder(args.output).config
    checks: list[Callable[[], Any]] = [lambda: read_cfg(cfg_path, args.pairs)]
    if args.explain:
        checks.append(lambda: keys_named(args.explain))
    elif args.output and not args.resume:
        checks.append(lambda: _check_is_free(RunFolder(args.output), args.output))
    loaded, *_ = collect_errors(*checks)
    cfg = loaded.cfg
    if args.explain:
        print("\n".join(explain_all(args.explain, loaded.given)))
        return ExitStatus.DONE
    if args.verify:
        return _verify(args, loaded)
    if args.output:
        cfg = with_values(cfg, {"OUTPUT_PATH": str(Path(args.output).absolute())})
    if not cfg.OUTPUT_PATH:
        raise ConfigError("where should the run go? Give a folder with -o, as in: -o experiments/my-run")
    _refuse_several_processes()
    folder = RunFolder(cfg.OUTPUT_PATH)
    if args.resume:
        cfg = _as_before(folder, cfg, loaded.sources, args.output or cfg.OUTPUT_PATH)
    elif not args.output:
        _check_is_free(folder, cfg.OUTPUT_PATH)

    with with_sources(loaded.sources):
        _check(cfg, loaded.notes, folder.config if args.resume else None)
        from trainable.console import train_on_console  # here: it imports torch, which takes seconds

        recorded: dict[str, Any] = recorded_environment(cfg_path) if cfg_path else {}
        return train_on_console(cfg, folder, args.resume, recorded)


def _check(cfg: CfgNode, notes: Sequence[str], begun_with: Path | None) -> None:
    """Tells the notes, and checks the user's modules and data before torch takes its seconds.

    Args:
        cfg: a loaded config.
        notes: on it.
        begun_with: the config with which a training that is resumed was begun; None: it is new.
    """
    for note in notes:
        print(f"note: {note}")
    export_secrets(cfg)  # before a data set of the user's is asked
    check_user_modules(cfg.USER_MODULES)
    for line in check_data(cfg, begun_with):
        print(f"data: {line}")
    print("importing torch ...", flush=True)


def _verify(args: argparse.Namespace, loaded: LoadedConfig) -> int:
    """Trains again in a folder that is gone afterwards, unless the user gave one."""
    if not args.cfg or args.resume:
        raise ConfigError("--verify: compares a training with the file of --cfg, without --resume")
    recorded = recorded_curve(args.cfg)
    with with_sources(loaded.sources), tempfile.TemporaryDirectory(prefix="yacstune-verify-") as home:
        _check(loaded.cfg, loaded.notes, None)
        from trainable.verify import verify  # here: it imports torch, which takes seconds

        folder = RunFolder(Path(args.output or Path(home) / "run").absolute())
        cfg = with_values(loaded.cfg, {"OUTPUT_PATH": str(folder.path), "TENSORBOARD": False})
        epochs = None if args.verify == "all" else args.verify
        others = [one for one in loaded.given if one.key not in FREE_ON_RESUME and not KEYS[one.key].is_secret]
        changed = [
            f"{one.key} is {shown(KEYS[one.key], one.value)} ({one.source})"
            for one in others
            if not one.source.startswith(str(args.cfg))
        ]
        return verify(cfg, recorded, recorded_environment(args.cfg), folder, epochs, changed)


def _refuse_several_processes() -> None:
    """Refuses to train in each process of torchrun: they would write into one folder."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise ConfigError(
            f"environment variable WORLD_SIZE is {processes}: a training uses one process and one GPU at most; start "
            "it with python instead of torchrun. A search uses all GPUs, with one or several trials on each"
        )


def _check_is_free(folder: RunFolder, shown: str) -> None:
    refuse_url(shown)
    if folder.is_used():
        if not folder.path.is_dir():
            raise ConfigError(f"{shown}: is a file; give a folder with -o")
        go_on = ", or go on in it with --resume" if folder.config.exists() else ""
        raise ConfigError(f"{shown}: the folder is not empty; give another one with -o{go_on}")


def _as_before(folder: RunFolder, cfg: CfgNode, sources: dict[str, str], shown: str) -> CfgNode:
    """Returns the config of a run that goes on, which must be the one that it had."""
    if not folder.config.exists():
        way = "run without --resume"
        if (folder.path / "events.jsonl").exists():
            way = f"resume that search: python -m search.run --resume -o {shlex.quote(shown)}"
        raise ConfigError(f"{shown}: nothing to resume: there is no {folder.config}; {way}")
    before = load_cfg(folder.config, with_environment=False)
    cfg = as_begun(before, cfg, sources)
    changed = differences(before, cfg, FREE_ON_RESUME)
    if changed:
        raise ConfigError(
            f"{shown}: a run is resumed with the config it had, but {'; '.join(changed)}; use another folder"
        )
    folder.refuse_if_locked()  # before torch takes its seconds
    return cfg


if __name__ == "__main__":
    sys.exit(main())
