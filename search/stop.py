"""Stops a search that runs, from any shell, as Ctrl-C does in its own, or one of its trials.

python -m search.stop experiments/head
python -m search.stop experiments/head --trial 7
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from configs.command_line import command_parser
from configs.errors import ConfigError, ExitStatus, SurroundingsError, exit_status
from search.folder import SearchFolder, add_folder_argument, existing_search
from search.record.event_log import EventReader
from search.record.history import History, TrialRecord
from search.record.outcomes import CAN_BE_STOPPED, State
from search.requests import Requests, StopRequest
from trainable.run_folder import RunFolder

PAUSE = 0.2  # seconds between two looks
PATIENCE = 60.0  # seconds that a search may take to answer


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "search.stop",
        __doc__,
        "Stops a search that runs gracefully: trials keep their last checkpoint. Or one trial, for good.",
    )
    add_folder_argument(parser)
    parser.add_argument("--trial", metavar="N", type=int, help="the number of a trial; the search goes on")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    args = build_parser().parse_args(argv)
    return exit_status(lambda: stop(existing_search(args.folder), args.trial))


def stop(folder: SearchFolder, trial: int | None) -> int:
    """Asks a search to stop, or to stop a trial, and waits until it has.

    Args:
        folder: of the search.
        trial: its number; None: the whole search.
    """
    if not RunFolder(folder.path).is_locked():
        raise ConfigError(f"{folder.path}: no search runs in this folder; there is nothing to stop")
    reader = EventReader(folder.events)
    history = History(reader.read_new())
    if trial is not None:
        _check(history, trial, folder)
    requests = Requests(folder.path)
    sent = requests.send(StopRequest(trial))
    what = "the search" if trial is None else f"trial {trial}"
    print(f"asked {folder.path} to stop {what}", flush=True)
    _wait_until_taken(sent, folder)
    if trial is None:
        while RunFolder(folder.path).is_locked():
            time.sleep(PAUSE)
        print(f"it has stopped; trials keep their last checkpoint\nresume with: {folder.resume_command()}")
        return ExitStatus.DONE
    record = _stopped(reader, history, trial)
    if record.state == State.STOPPED_BY_USER:
        epochs = "1 epoch" if len(record.rows) == 1 else f"{len(record.rows)} epochs"
        print(f"trial {trial} has stopped after {epochs}; the search goes on")
    else:
        print(f"trial {trial} came to its end before ({record.state})")
    return ExitStatus.DONE


def _check(history: History, trial: int, folder: SearchFolder) -> None:
    """Raises ConfigError if there is no trial that can be stopped."""
    record = history.trials.get(trial)
    if record is None:
        raise ConfigError(
            f"--trial: found {trial}, but {folder.path} has no such trial; those that it has are listed by: python -m "
            f"search.show {folder.path}"
        )
    if record.state not in CAN_BE_STOPPED:
        raise ConfigError(f"--trial: trial {trial} of {folder.path} has ended already ({record.state})")


def _wait_until_taken(sent: Path, folder: SearchFolder) -> None:
    deadline = time.monotonic() + PATIENCE
    while sent.exists():
        if not RunFolder(folder.path).is_locked():
            sent.unlink(missing_ok=True)
            return
        if time.monotonic() > deadline:
            sent.unlink(missing_ok=True)
            raise SurroundingsError(
                f"{folder.path}: its search has not answered within {PATIENCE:.0f} s, as when it starts or ends"
            )
        time.sleep(PAUSE)


def _stopped(reader: EventReader, history: History, trial: int) -> TrialRecord:
    """Returns the trial when it has stopped."""
    deadline = time.monotonic() + PATIENCE
    while history.trials[trial].state in CAN_BE_STOPPED:
        if time.monotonic() > deadline:
            break
        time.sleep(PAUSE)
        for event in reader.read_new():
            history.add(event)
    return history.trials[trial]


if __name__ == "__main__":
    sys.exit(main())
