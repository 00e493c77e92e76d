"""Searches a space of configs.

python -m search.run --space spaces/head.yaml
python -m search.run --space spaces/head.yaml --num-samples 100 --time-budget 2h DATASET.BATCH_SIZE 64
python -m search.run --space spaces/head.yaml --dry-run
python -m search.run --space spaces/head.yaml --resume
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from configs.command_line import add_config_arguments, command_parser
from configs.errors import ConfigError, ExitStatus, collect_errors, exit_status, with_sources
from configs.legal import Int
from configs.loader import with_values
from configs.user_modules import check_user_modules
from data.build import check_data
from search.folder import SearchFolder, folder_to_resume, new_folder
from search.plan import SearchPlan, explained_keys, make_plan, problems_beside
from search.plan_checks import slips
from search.resuming import begun_plan, resumed_plan
from search.space.options import CPUS, GPUS
from search.space.space_file import read_space
from search.space.words import read_duration
from search.trials.address import check_address
from search.trials.ray_environment import prepare_ray_environment
from search.trials.signals import sigterm_as_ctrl_c
from search.views.output import Form, Output
from trainable.run_folder import RunFolder


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "search.run", __doc__, "Searches a space of configs and leaves best.yaml, which trains the winner again."
    )
    parser.add_argument("--space", metavar="YAML", help="the space file; needed unless a search is resumed with -o")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="folder of the search; experiments/<space>[-N] without it"
    )
    parser.add_argument("--num-samples", metavar="N", type=_read(Int(1).read, Int(1).allowed), help="trials to make")
    parser.add_argument(
        "--time-budget",
        metavar="T",
        type=_read(read_duration, "a time above 0 as in 90s, 30m, 2h"),
        help="end after it: 90s, 30m, 2h",
    )
    parser.add_argument(
        "--gpus-per-trial", metavar="G", type=_read(GPUS.read, GPUS.allowed), help="a fraction shares a GPU: 0.25"
    )
    parser.add_argument("--cpus-per-trial", metavar="C", type=_read(CPUS.read, CPUS.allowed), help="CPU cores")
    parser.add_argument("--address", help="Ray cluster to use, or auto; without it, Ray is started on this machine")
    parser.add_argument("--no-dashboard", action="store_true", help="start Ray without its dashboard")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--quiet", action="store_true", help="print the summary alone")
    form.add_argument("--json", action="store_true", help="print events as JSON, one a line; all else goes to stderr")
    parser.add_argument("--resume", action="store_true", help="go on with a search that was interrupted")
    parser.add_argument("--explain", metavar="KEY", help="say where the value of a key comes from, and search nothing")
    parser.add_argument("--dry-run", action="store_true", help="print the space and sampled configs, start nothing")
    add_config_arguments(parser, "experiment to search around; replaces the space's base")
    return parser


def _read(reader: Callable[[Any], Any], allowed: str) -> Callable[[str], Any]:
    def value(text: str) -> Any:
        try:
            return reader(text)
        except (ValueError, OverflowError):
            raise argparse.ArgumentTypeError(f"found {text!r}, allowed is {allowed}") from None

    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = build_parser().parse_intermixed_args(words)
    output = Output(Form.LINES if args.dry_run else Form.chosen(args.quiet, args.json))
    with sigterm_as_ctrl_c(), output.alone():
        return exit_status(lambda: search(args, shlex.join(["python", "-m", "search.run", *words]), output))


def search(args: argparse.Namespace, command: str, output: Output) -> int:
    """Checks everything that can be checked without torch, then everything else, then searches.

    Args:
        args: of the command line.
        command: as it was given, to be kept with the results.
        output: in which form it is told what happens.
    """
    _check_options(args)
    plan, folder = _plan_to_resume(args) if args.resume else _new_plan(args)
    if args.explain:
        print("\n".join(explained_keys(plan, args.explain)))
        return ExitStatus.DONE
    if not args.address and not args.resume:  # of which nothing may be left to run
        _check_cpus(plan)
    os.environ |= plan.secrets  # where parts of the user's find them, in workers too
    if args.dry_run:  # which writes no images
        plan = replace(plan, base_cfg=with_values(plan.base_cfg, {"DATASET.CACHE": False}))
    with with_sources(plan.sources):
        check_user_modules(plan.base_cfg.USER_MODULES)
        about_data = check_data(plan.base_cfg, folder.base if args.resume else None)
    mark = "# " if args.dry_run else ""  # a dry run prints YAML
    for note in [*plan.notes, *_notes_on_folder(args, plan, folder)]:
        print(f"{mark}note: {note}")
    for line in about_data:
        print(f"{mark}data: {line}")

    prepare_ray_environment(args.address)
    if args.address and not args.dry_run and not args.resume:
        check_address(args.address)
    print(f"{mark}checking every part (importing torch takes some seconds) ...", flush=True)
    if args.dry_run:
        from search.dry_run import dry_run

        return dry_run(plan, folder)

    from search.session import run_search  # here: it imports torch and Ray, which takes seconds

    return run_search(
        plan,
        folder,
        args.address,
        args.resume,
        command,
        output,
        with_dashboard=not args.no_dashboard,
        is_given=args.output is not None,
    )


def _check_options(args: argparse.Namespace) -> None:
    if args.dry_run and args.json:
        raise ConfigError("--json: prints what happens in a search, and --dry-run starts none; leave one of them out")
    if args.address is not None and not args.address.strip():
        raise ConfigError("--address: is empty; give host:port or auto, or leave it out to start Ray on this machine")
    if args.no_dashboard and args.address:
        raise ConfigError(
            "--no-dashboard is for the Ray that a search starts; the one at --address has its own; leave it out"
        )


def _new_plan(args: argparse.Namespace) -> tuple[SearchPlan, SearchFolder]:
    if not args.space:
        raise ConfigError("what should be searched? Give a space file, as in: --space spaces/head.yaml")
    plan, folder = collect_errors(
        lambda: _plan(args, args.space), lambda: new_folder(args.output, Path(args.space).stem)
    )
    slips(plan.options, plan.space, plan.base_cfg).check()
    return plan, folder


def _plan_to_resume(args: argparse.Namespace) -> tuple[SearchPlan, SearchFolder]:
    """Returns the plan that the command makes now, which must fit the search that is resumed, and its folder."""
    folder = folder_to_resume(args.output, read_space(args.space).path.stem if args.space else None)
    before = begun_plan(folder)
    plan = resumed_plan(folder, before, _plan(args, args.space or str(folder.space)))
    if not args.dry_run:
        RunFolder(folder.path).refuse_if_locked()  # before torch and Ray take their seconds
    return plan, folder


def _plan(args: argparse.Namespace, space_path: str) -> SearchPlan:
    try:
        space = read_space(space_path)
    except ConfigError as error:  # what else is wrong is told in the same go
        raise ConfigError([*error.problems, *problems_beside(space_path, args.cfg, args.pairs)]) from None
    return make_plan(
        space,
        args.cfg,
        args.pairs,
        num_samples=args.num_samples,
        time_budget=args.time_budget,
        cpus_per_trial=args.cpus_per_trial,
        gpus_per_trial=args.gpus_per_trial,
    )


def _check_cpus(plan: SearchPlan) -> None:
    """Raises ConfigError if a trial wants more CPUs than the Ray that is started here will have."""
    from joblib import cpu_count  # here: it takes a tenth of a second

    if plan.options.cpus_per_trial > cpu_count():
        raise ConfigError(
            f"a trial asks for {plan.options.cpus_per_trial:g} CPU, but this machine has {cpu_count()}; lower it with "
            "--cpus-per-trial or under search: resources, or search on a cluster with --address"
        )


def _notes_on_folder(args: argparse.Namespace, plan: SearchPlan, folder: SearchFolder) -> list[str]:
    if args.resume or args.output or folder.path.name == plan.name:
        return []
    return [
        f"experiments/{plan.name} is there already: this new search goes to {folder.path} (--resume would go on "
        "with the newest one of that name)"
    ]


if __name__ == "__main__":
    sys.exit(main())
