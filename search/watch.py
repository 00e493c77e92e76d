"""Shows a search that runs, from another shell, or one that has ended.

python -m search.watch experiments/head
python -m search.watch experiments/head --speed 60      one that has ended, a minute a second
"""

import argparse
import platform
import sys
import time
from collections.abc import Sequence

from configs.command_line import command_parser
from configs.errors import ExitStatus, exit_status
from configs.files import shown_path
from search.analysis import FoundSearch
from search.folder import SearchFolder, add_folder_argument, existing_search
from search.plan import SearchPlan
from search.record.event_log import EventReader
from search.record.events import Event, SearchEnded
from search.record.history import History
from search.record.recorder import Observer
from search.resuming import begun_plan
from search.views.output import Form, Output
from trainable.run_folder import RunFolder, holder

PAUSE = 0.2  # seconds between two looks at the events
PATIENCE = 2.0  # seconds without an event before it is asked whether the search still runs


def build_parser() -> argparse.ArgumentParser:
    """The command line of this module."""
    parser = command_parser(
        "search.watch",
        __doc__,
        "Shows a search that runs, from another shell, or one that has ended. It changes nothing.",
    )
    add_folder_argument(parser)
    parser.add_argument(
        "--speed",
        metavar="N",
        type=float,
        help="replay a search that has ended N times as fast as it was; else at once",
    )
    parser.add_argument("--json", action="store_true", help="print events as JSON, one a line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.speed is not None and not 0 < args.speed < float("inf"):
        parser.error(f"--speed: found {args.speed}, allowed is a number above 0")
    output = Output(Form.chosen(is_quiet=False, is_json=args.json))
    with output.alone():
        return exit_status(lambda: watch(existing_search(args.folder), args.speed, output))


def watch(folder: SearchFolder, speed: float | None, output: Output) -> int:
    """Shows a search.

    Args:
        folder: of the search.
        speed: how fast one that has ended is replayed; None: at once.
        output: in which form.
    """
    plan = begun_plan(folder)
    if RunFolder(folder.path).is_locked():
        return _follow(plan, folder, output)
    return _replay(plan, folder, speed, output)


def _follow(plan: SearchPlan, folder: SearchFolder, output: Output) -> int:
    """Shows a search until it ends."""
    reader = EventReader(folder.events)
    history = History(reader.read_new())
    is_here = holder(folder.path) == platform.node()
    with output.observer(FoundSearch(plan, history, folder), is_here, has_begun=True) as observer:
        ended = len(history.by_end())
        observer.on_message(
            f"watching {shown_path(folder.path)}: {ended} trials have ended so far (Ctrl-C leaves the search alone)"
        )
        heard = time.monotonic()
        while True:
            events = reader.read_new()
            for event in events:
                _tell(history, observer, event)
                if isinstance(event, SearchEnded):
                    _tell_resume(history, folder)
                    return ExitStatus.DONE
            heard = time.monotonic() if events else heard
            if time.monotonic() - heard > PATIENCE:
                if not RunFolder(folder.path).is_locked():
                    break
                heard = time.monotonic()
            observer.on_tick()
            time.sleep(PAUSE)
    print(f"the search was killed: it runs no more, and has not said why\nresume with: {folder.resume_command()}")
    return ExitStatus.DONE


def _replay(plan: SearchPlan, folder: SearchFolder, speed: float | None, output: Output) -> int:
    """Shows a search that has ended, as it went."""
    history = History()
    events = EventReader(folder.events).read_new()
    now = [events[0].time if events else 0.0]
    found = FoundSearch(plan, history, folder)
    with output.observer(found, is_here=False, clock=lambda: now[0]) as observer:
        for event in events:
            while speed and event.time > now[0]:
                pause = min(PAUSE, (event.time - now[0]) / speed)
                time.sleep(pause)
                now[0] += pause * speed
                observer.on_tick()
            now[0] = max(now[0], event.time)
            _tell(history, observer, event)
    if not events or not isinstance(events[-1], SearchEnded):
        print(f"the search was killed: it has not said why it ended\nresume with: {folder.resume_command()}")
    else:
        _tell_resume(history, folder)
    return ExitStatus.DONE


def _tell_resume(history: History, folder: SearchFolder) -> None:
    if history.interrupted():
        print(f"resume with: {folder.resume_command()}")


def _tell(history: History, observer: Observer, event: Event) -> None:
    history.add(event)
    observer.on_event(event)


if __name__ == "__main__":
    sys.exit(main())
