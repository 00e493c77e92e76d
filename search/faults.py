"""What kind of failure it was: of the trial, of its surroundings, or of all that is needed to go on."""

import errno
import faulthandler
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from trainable.run_folder import FolderInUseError

OWN = "own"  # it would happen again: not tried again
CAN_BE_RETRIED = "can be retried"  # memory, network, a disk that did not answer, a worker that died
NOTHING_GOES = "nothing goes"  # no trial can go on: a full disk, a folder that cannot be written to

_NOTHING_GOES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# How torch says, in RuntimeErrors, that memory of GPU or machine is used up, or that a loader's process was killed.
_OF_TORCH = ("CUDA error", "can't allocate memory", "ALLOC_FAILED", "killed by signal")


def fault_of(error: BaseException) -> str:
    """Returns the kind of failure that an error is."""
    if isinstance(error, OSError) and error.errno in _NOTHING_GOES:
        return NOTHING_GOES
    is_of_surroundings = isinstance(error, OSError | MemoryError | FolderInUseError)
    is_of_torch = type(error).__name__ == "OutOfMemoryError" or any(words in str(error) for words in _OF_TORCH)
    return CAN_BE_RETRIED if is_of_surroundings or is_of_torch else OWN


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
