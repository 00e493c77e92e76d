"""Shows the trials of a search as a table, or one in full; also while the search runs.

python -m search.show experiments/head --top 10
python -m search.show experiments/head --where state=done --where 'epochs>=3' --sort val_loss
python -m search.show experiments/head --columns trial,val_score,MODEL.HEAD.DROPOUT --csv
python -m search.show experiments/head --trial 7
"""

import argparse
import json
import sys
from collections.abc import Sequence

from rich.console import Console

from configs.command_line import command_parser
from configs.errors import ConfigError, ExitStatus, exit_status
from configs.metric_names import METRICS
from search.analysis import FoundSearch, open_search
from search.folder import add_folder_argument
from search.record.table import trial_table
from search.views.trial_page import draw_page, trial_page
from search.views.trial_rows import Rows

WIDEST = 10_000  # columns of a file, which has no width


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "search.show", __doc__, "Shows the trials of a search as a table, or one in full; also while the search runs."
    )
    add_folder_argument(parser)
    parser.add_argument("--trial", metavar="N", type=int, help="show this one in full")
    parser.add_argument("--sort", metavar="COLUMN", help="the best or largest first; without it, by the metric")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument(
        "--where",
        metavar="TEST",
        action="append",
        default=[],
        help="only these: state=done, 'val_score>0.9', may be repeated",
    )
    parser.add_argument("--top", metavar="N", type=int, help="only the first N")
    parser.add_argument("--columns", metavar="A,B", help="only these, by name")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_args(argv)
    return exit_status(lambda: show(open_search(args.folder), args))


def show(found: FoundSearch, args: argparse.Namespace) -> int:
    """Prints a table of the trials, or one of them.

    Args:
        found: the search.
        args: of the command line.
    """
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDEST)
    if args.trial is not None:
        if args.csv or args.sort or args.reverse or args.where or args.top or args.columns:
            raise ConfigError("--trial: shows one trial; of the other options only --json goes with it")
        page = trial_page(found, args.trial)
        if args.json:
            print(json.dumps(page))
        else:
            draw_page(page, console)
        return ExitStatus.DONE
    options = found.plan.options
    others = [name for name in METRICS if name not in options.objectives]
    rows = Rows(trial_table(found.plan, found.history, others), options.metric, hidden=others)
    rows = rows.chosen(args.where, args.sort, args.reverse, args.top, args.columns)
    if args.csv:
        print(rows.to_csv(), end="")
    elif args.json:
        print(json.dumps(rows.to_dicts()))
    else:
        _print_table(rows, console, is_any=bool(found.history.trials))
    return ExitStatus.DONE


def _print_table(rows: Rows, console: Console, is_any: bool) -> None:
    if rows.is_empty():
        print("no trial passes" if is_any else "no trial has begun yet")
        return
    table, left_out = rows.to_rich(console.width)
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()))
    if left_out:
        print(f"the terminal is too narrow for {', '.join(left_out)}; choose columns with --columns")


if __name__ == "__main__":
    sys.exit(main())
