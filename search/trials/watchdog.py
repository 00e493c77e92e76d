"""Ends a trial that hangs, and says afterwards that it hung."""

import faulthandler
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Watchdog:
    """Ends the process when a trial reports nothing for too long, wherever it hangs.

    Python's faulthandler does it from a thread of its own, which needs no lock of the interpreter.
    """

    def __init__(self, log: IO[str], limit: float):
        self._log, self._limit = log, limit

    def pause(self) -> None:
        """Stops counting: while a report waits for an answer, nothing hangs."""
        faulthandler.cancel_dump_traceback_later()

    def count(self) -> None:
        """Begins to count anew."""
        faulthandler.dump_traceback_later(self._limit, exit=True, file=self._log)


@contextmanager
def watching(log: IO[str], limit: float | None) -> Iterator[Watchdog | None]:
    """Watches over a trial.

    Args:
        log: gets the place where the trial hangs.
        limit: seconds without a report; None: nobody watches.
    """
    if limit is None:
        yield None
        return
    watchdog = Watchdog(log, limit)
    watchdog.count()
    try:
        yield watchdog
    finally:
        watchdog.pause()


def hanging(log: Path, start: int) -> str | None:
    """Returns in words that a trial hung, by its log; None if it did not.

    Args:
        log: of the trial.
        start: where the log of this try begins, in bytes.
    """
    text = log.read_bytes()[start:].decode(errors="replace")
    timeouts = re.findall(r"^Timeout \(([0-9:.]+)\)!$", text, flags=re.MULTILINE)
    return f"it reported nothing for {timeouts[-1]} and was ended; its log says where it hung" if timeouts else None
