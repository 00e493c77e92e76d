"""How the run of a trial can end, and in which state it is then."""

from enum import StrEnum


class Outcome(StrEnum):
    """How a trial's run ended, as whoever ran it tells."""

    FINISHED = "finished"  # it has trained all its epochs
    FAILED = "failed"  # by itself: it would happen again
    EXTERNAL_FAILURE = "external failure"  # memory, network, a disk that did not answer, a worker that died
    BLOCKS_SEARCH = "blocks search"  # no trial can run: a full disk, a folder that cannot be written to
    INTERRUPTED = "interrupted"  # by whoever ran it
    STOPPED_BY_USER = "stopped by user"


class State(StrEnum):
    """What a trial is doing, or how it has ended."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"  # it is resumed first
    WAITING = "waits"  # until the scheduler promotes it
    STOPPED = "stopped"  # early, for good
    STOPPED_BY_USER = "stopped by user"  # for good
    DONE = "done"  # all its epochs
    FAILED = "failed"


# States that resuming a search leaves alone.
ENDED = (State.WAITING, State.STOPPED, State.STOPPED_BY_USER, State.DONE, State.FAILED)

# States of trials that can still train, so that a user can stop them.
CAN_BE_STOPPED = (State.RUNNING, State.WAITING, State.INTERRUPTED)
