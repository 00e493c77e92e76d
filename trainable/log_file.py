"""The log of a training, kept in its folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yacstune


@contextmanager
def log_to(path: Path, also_to_terminal: bool = False) -> Iterator[None]:
    """Sends the log of our packages to a file; warnings go to the terminal too, if wanted."""
    to_file = logging.FileHandler(path, errors="backslashreplace")  # names of files may be no UTF-8
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers: list[logging.Handler] = [to_file]
    if also_to_terminal:
        to_terminal = logging.StreamHandler()
        to_terminal.setLevel(logging.WARNING)
        to_terminal.setFormatter(logging.Formatter("note: %(message)s"))
        handlers.append(to_terminal)
    loggers = [logging.getLogger(name) for name in yacstune.PACKAGES]
    for ours in loggers:
        ours.setLevel(logging.INFO)
        ours.propagate = False
        ours.handlers[:] = handlers
    try:
        yield
    finally:
        for ours in loggers:
            ours.handlers[:] = []
            ours.propagate = True
        to_file.close()
