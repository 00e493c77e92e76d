"""What the time of an epoch went to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

TRAINING, EVALUATION, CHECKPOINT, WAITING = "training", "evaluation", "checkpoint", "waiting"


class Stopwatch:
    """Adds up seconds by what they went to: TRAINING, EVALUATION, CHECKPOINT, and WAITING for an answer to a report."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measuring(self, what: str) -> Iterator[None]:
        """Adds the time of the block, also where it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[what] = self._seconds.get(what, 0.0) + time.perf_counter() - start

    def take(self) -> dict[str, float]:
        """Returns the seconds since this was called last."""
        taken, self._seconds = self._seconds, {}
        return taken
