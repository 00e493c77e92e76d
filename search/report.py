"""Writes the report of a search: one page that opens offline and can be sent.

python -m search.report experiments/head
python -m search.report experiments/head experiments/head-2     a report each, and one that compares them
"""

import argparse
import sys
from collections.abc import Sequence

from configs.command_line import command_parser
from configs.errors import ExitStatus, collect_errors, exit_status
from configs.files import shown_path
from search.analysis import open_search


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser("search.report", __doc__, "Writes the report of a search, also while it runs.")
    parser.add_argument("folders", metavar="DIR", nargs="+", help="the folder of a search, as experiments/head")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_args(argv)
    return exit_status(lambda: report(args.folders))


def report(folders: Sequence[str]) -> int:
    """Writes the report of each search; of several, comparison.html beside the first as well.

    Args:
        folders: of the searches.
    """
    searches = collect_errors(*[lambda folder=folder: open_search(folder) for folder in folders])
    from search.views.report.comparison import check_comparable, write_comparison  # here: Optuna takes half a second
    from search.views.report.page import write_report

    check_comparable(searches)
    for found in searches:
        pictures = shown_path(found.folder.report_pictures)
        print(f"report: {shown_path(write_report(found))}   its pictures: {pictures}")
    if len(searches) > 1:
        path = searches[0].folder.path.parent / "comparison.html"
        write_comparison(searches, path)
        print(f"compared: {shown_path(path)}")
    return ExitStatus.DONE


if __name__ == "__main__":
    sys.exit(main())
