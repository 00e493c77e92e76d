"""Ray Tune asks here whether the search ends."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune

from search.engine.controller import Controller
from search.trials.unpickled import Unpickled


class ControllerStopper(Unpickled, tune.Stopper):
    """Ends all trials when the controller says so, or when people ask for it.

    Args:
        controller: of the search.
        say: tells people.
    """

    def __init__(self, controller: Controller, say: Callable[[str], None]):
        self._controller = controller
        self._say = say
        self._has_told = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never stops a single trial; that is the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials end now."""
        self.tell()
        return self._controller.should_stop()

    def tell(self) -> None:
        """Says, once, that a request to stop has been taken."""
        if self._controller.stopping.is_requested and not self._has_told:
            self._has_told = True
            self._say("stopping: trials keep their last checkpoint (once more: at once)")


@contextmanager
def stopped_by_signals(controller: Controller) -> Iterator[None]:
    """Takes the first Ctrl-C or SIGTERM as a request to stop gracefully; the second ends at once."""

    def on_signal(number: int, frame: Any) -> None:
        if controller.stopping.is_requested:
            raise KeyboardInterrupt
        controller.stopping.is_requested = True  # nothing else: whatever was going on goes on afterwards

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
