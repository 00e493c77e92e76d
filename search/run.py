"""Searches a space of configs.

python -m search.run --space spaces/head.yaml
python -m search.run --space spaces/head.yaml --num-samples 100 --time-budget 2h DATASET.BATCH_SIZE 64
python -m search.run --space spaces/head.yaml --dry-run
python -m search.run --space spaces/head.yaml --resume
"""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any

from configs.command_line import parse_arguments
from configs.errors import ConfigError, exit_status
from configs.legal import Float, Int
from search.folder import SearchFolder, folder_to_resume, new_folder
from search.options import read_duration
from search.plan import SearchPlan, make_plan
from search.ray_environment import prepare_ray_environment
from search.space import read_space


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m search.run",
        description="Searches a space of configs and leaves best.yaml, which trains the winner again.",
        epilog=__doc__.split("\n", 1)[1],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--space", metavar="YAML", help="the space file; needed unless a search is resumed with -o")
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="folder of the search; experiments/<space>[-N] without it"
    )
    parser.add_argument("--cfg", metavar="YAML", help="experiment to search around; replaces the space's base")
    parser.add_argument("--num-samples", metavar="N", type=_read(Int(1).read), help="trials to make")
    parser.add_argument(
        "--time-budget", metavar="T", type=_read(read_duration), help="end after this time: 90s, 30m, 2h"
    )
    parser.add_argument(
        "--gpus-per-trial", metavar="G", type=_read(Float(0).read), help="a fraction shares a GPU: 0.25"
    )
    parser.add_argument("--cpus-per-trial", metavar="C", type=_read(Float(0, above_low=True).read), help="CPU cores")
    parser.add_argument("--address", help="Ray cluster to use, or auto; without it, Ray is started on this machine")
    parser.add_argument("--resume", action="store_true", help="go on with a search that was interrupted")
    parser.add_argument("--dry-run", action="store_true", help="print the space and sampled configs, start nothing")
    parser.add_argument("pairs", nargs="*", metavar="KEY VALUE", help="config keys and their values")
    return parser


def _read(reader: Callable[[Any], Any]) -> Callable[[str], Any]:
    def value(text: str) -> Any:
        return reader(text)

    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    args = parse_arguments(build_parser(), words)
    return exit_status(lambda: search(args, shlex.join(["python", "-m", "search.run", *words])))


def search(args: argparse.Namespace, command: str) -> int:
    """Checks everything that can be checked without torch, then everything else, then searches.

    Args:
        args: of the command line.
        command: as it was given, to be kept with the results.
    """
    if args.resume:
        folder = folder_to_resume(args.output, read_space(args.space).path.stem if args.space else None)
        plan = _plan_to_resume(args, folder)
    else:
        if not args.space:
            raise ConfigError("what should be searched? Give a space file, as in: --space spaces/head.yaml")
        plan = _plan(args, args.space)
        folder = new_folder(args.output, plan.name)
    for note in plan.notes:
        print(f"note: {note}")

    prepare_ray_environment(args.address)
    if args.dry_run:
        from search.dry_run import dry_run

        return dry_run(plan)

    from search.session import run_search  # here: it imports torch and Ray, which takes seconds

    return run_search(plan, folder, args.address, args.resume, command)


def _plan(args: argparse.Namespace, space_path: str) -> SearchPlan:
    return make_plan(
        read_space(space_path),
        args.cfg,
        args.pairs,
        args.num_samples,
        args.time_budget,
        args.cpus_per_trial,
        args.gpus_per_trial,
    )


def _plan_to_resume(args: argparse.Namespace, folder: SearchFolder) -> SearchPlan:
    """The plan that the search was started with; what the command says again must say the same."""
    before = make_plan(
        read_space(folder.space),
        num_samples=args.num_samples,
        time_budget=args.time_budget,
        cpus_per_trial=args.cpus_per_trial,
        gpus_per_trial=args.gpus_per_trial,
    )
    if args.space or args.cfg or args.pairs:
        now = _plan(args, args.space or str(folder.space))
        changed = [
            f"{folder.path}: {what} is not what this search was started with, and a search goes on as it was; "
            "leave out what you changed, or start a new one without --resume"
            for what, differs in (
                ("the space", now.parameters_yaml() != before.parameters_yaml()),
                ("the base config", now.base_yaml() != before.base_yaml()),
                ("metric, seed, sampler or scheduler", now.options.science() != before.options.science()),
            )
            if differs
        ]
        if changed:
            raise ConfigError(changed)
    return before


if __name__ == "__main__":
    sys.exit(main())
