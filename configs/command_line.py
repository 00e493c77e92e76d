"""What the commands have in common on the command line."""

import argparse
import sys
from collections.abc import Sequence


def parse_arguments(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parses options and KEY VALUE pairs, in any order."""
    return parser.parse_intermixed_args(sys.argv[1:] if argv is None else argv)
