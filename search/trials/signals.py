"""SIGTERM, which clusters send to all processes of a job, taken as Ctrl-C."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def take_sigterm_as_ctrl_c() -> None:
    """From now on, SIGTERM raises KeyboardInterrupt. Ray replaces the handler when it starts; then call it again."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt meanwhile; afterwards its handler is as it was."""
    before = signal.getsignal(signal.SIGTERM)
    take_sigterm_as_ctrl_c()
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def without_sigterm() -> Iterator[None]:
    """Processes that start meanwhile never get SIGTERM, as Ray's never get Ctrl-C.

    A cluster's SIGTERM goes to all processes at once, and a raylet that ends takes the driver with it, which still has
    results to write.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
