"""What kind of failure it was: of the trial, of its surroundings, or of all that is needed to go on."""

import errno

from trainable.run_folder import FolderInUseError

OWN = "own"  # it would happen again: not tried again
CAN_BE_RETRIED = "can be retried"  # memory, network, a disk that did not answer, a worker that died
NOTHING_GOES = "nothing goes"  # no trial can go on: a full disk, a folder that cannot be written to

_NOTHING_GOES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# How torch says, in RuntimeErrors, that memory of GPU or machine is used up, or that a loader's process was killed.
_OF_TORCH = ("CUDA error", "can't allocate memory", "ALLOC_FAILED", "killed by signal")


class NodeError(OSError):
    """This machine, or its connection to the driver, cannot be used for a trial; another one can."""


def fault_of(error: BaseException) -> str:
    """Returns the kind of failure that an error is."""
    if isinstance(error, OSError) and error.errno in _NOTHING_GOES:
        return NOTHING_GOES
    is_of_surroundings = isinstance(error, OSError | MemoryError | FolderInUseError)
    return CAN_BE_RETRIED if is_of_surroundings or _is_of_torch(error) else OWN


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
