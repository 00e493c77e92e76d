"""What kind of failure it was: of the trial, of its surroundings, or of all that is needed to go on."""

import errno

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
