"""What kind of failure an error of a trial is: its own, of its surroundings, or of all that a search needs."""

import errno

from search.record.outcomes import Outcome
from trainable.run_folder import FolderInUseError

_BLOCKS_SEARCH = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# How torch says, in RuntimeErrors, that memory of GPU or machine is used up, or that a loader's process was killed.
_OF_TORCH = ("CUDA error", "can't allocate memory", "ALLOC_FAILED", "killed by signal")


class NodeError(OSError):
    """This machine, or its connection to the driver, cannot be used for a trial; another one can."""


def outcome_of(error: BaseException) -> Outcome:
    """Returns the kind of failure that an error is."""
    if isinstance(error, OSError) and error.errno in _BLOCKS_SEARCH:
        return Outcome.BLOCKS_SEARCH
    is_external = isinstance(error, OSError | MemoryError | FolderInUseError) or _is_of_torch(error)
    return Outcome.EXTERNAL_FAILURE if is_external else Outcome.FAILED


def is_of_device(error: BaseException) -> bool:
    """Whether a GPU failed: no later kernel runs in this process then."""
    return "AcceleratorError" in _kinds(error) or (type(error) is RuntimeError and "CUDA error" in str(error))


def _is_of_torch(error: BaseException) -> bool:
    """Whether torch ran out of memory, or lost a device or a process; a user's own class is none of these."""
    words = type(error) is RuntimeError and any(words in str(error) for words in _OF_TORCH)
    return words or is_of_device(error) or "OutOfMemoryError" in _kinds(error)


def _kinds(error: BaseException) -> set[str]:
    """Returns the names of torch's classes that an error is of; torch is not imported here."""
    return {kind.__name__ for kind in type(error).__mro__ if kind.__module__.split(".")[0] == "torch"}
