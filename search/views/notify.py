"""Runs a command of the user's when a search ends, or has beaten a value."""

import json
import os
import signal
import subprocess
import threading
from typing import Any

from configs.errors import CommandError
from configs.metric_names import sign
from search.analysis import FoundSearch
from search.record.event_json import to_json
from search.record.events import FAILED_ALIKE, EpochReported, Event, SearchEnded
from search.record.recorder import Observer
from search.space.options import Notify
from search.views.summary import summary

_NO_MORE = "; it is not run again"


class NotifyError(CommandError):
    """The command of `notify` has failed."""


class Notifier(Observer):
    """Gives the command of `search: notify` what happened, as JSON on its stdin.

    While the search runs, the command runs beside it. At the end the search waits for it, at most for its time limit.

    Args:
        notify: the command, and when.
        found: the search.
    """

    def __init__(self, notify: Notify, found: FoundSearch):
        self._notify = notify
        self._found = found
        self._metric = found.plan.options.metric
        self._has_beaten = self._is_beaten(found.history.best_sample(self._metric))
        self._running: threading.Thread | None = None
        self._error: NotifyError | None = None

    def on_event(self, event: Event) -> None:
        self._raise_error()
        if isinstance(event, EpochReported) and not self._has_beaten:
            record = self._found.history.trials[event.trial]
            if record.is_sample and self._is_beaten(record):
                self._has_beaten = True
                value = (record.best(self._metric) or {})[self._metric]
                text = f"trial {record.number} has reached {self._metric} {value:.4f}"
                content = self._content("value beaten", event, text)
                self._running = threading.Thread(target=self._run, args=[content], name="notify", daemon=True)
                self._running.start()
        elif isinstance(event, SearchEnded):
            if self._running:
                self._running.join(self._notify.timeout)
            what = "failing alike" if FAILED_ALIKE in event.reason else "end"
            lines = summary(self._found, event)
            self._run(self._content(what, event, "\n".join(lines).strip()))
            self._raise_error()

    def on_tick(self) -> None:
        self._raise_error()

    def _is_beaten(self, record: Any) -> bool:
        value = self._notify.beats
        row = record.best(self._metric) if record and value is not None else None
        return row is not None and value is not None and sign(self._metric) * (row[self._metric] - value) > 0

    def _content(self, what: str, event: Event, text: str) -> str:
        named = {
            "what": what,
            "search": self._found.folder.path.name,
            "folder": str(self._found.folder.path.absolute()),
            "text": text,
        }
        return json.dumps(named | {"event": to_json(event)})

    def _run(self, content: str) -> None:
        """Runs the command in a group of its own, which Ctrl-C does not reach and which ends with its time."""
        command, timeout = self._notify.command, self._notify.timeout
        with subprocess.Popen(
            command,
            shell=True,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                _, said = process.communicate(content, timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                self._error = NotifyError(f"notify: {command}: has not ended within {timeout:g} s{_NO_MORE}")
                return
            if process.returncode:
                last = (said.strip().splitlines() or ["it said nothing"])[-1]
                self._error = NotifyError(
                    f"notify: {command}: ended with status {process.returncode}: {last}{_NO_MORE}"
                )

    def _raise_error(self) -> None:
        """Raises what the command ended with, which is told then, and the command is not run again."""
        if self._error:
            error, self._error = self._error, None
            raise error
