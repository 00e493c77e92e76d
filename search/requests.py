"""What other processes ask of a search that runs: files in its folder, which it looks for."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from configs.errors import ConfigError
from configs.files import write_atomically

_FOLDER = "requests"


@dataclass(frozen=True)
class StopRequest:
    """Asks a search to stop gracefully, or a trial of it to stop for good.

    Attributes:
        trial: its number; None: the whole search.
    """

    trial: int | None = None


class Requests:
    """The requests to the search of a folder.

    Whoever may write into the folder of a search could spoil it anyway; a request counts if it is from the folder's
    owner, or from root.
    """

    def __init__(self, search_folder: Path):
        self._search_folder = search_folder
        self._folder = search_folder / _FOLDER

    def send(self, request: StopRequest) -> Path:
        """Sends a request, and returns the file that is there until the search has taken it.

        Raises:
            ConfigError: the folder is another user's.
        """
        owner = self._search_folder.stat().st_uid
        if os.geteuid() not in (owner, 0):
            raise ConfigError(f"{self._search_folder}: is another user's search; only its owner can stop it")
        self._folder.mkdir(exist_ok=True)
        path = self._folder / ("stop" if request.trial is None else f"stop-trial-{request.trial}")
        write_atomically(path, "")
        return path

    def take(self) -> list[StopRequest]:
        """Returns the requests that have come, which are gone then."""
        return [request for path in self._files() if (request := self._taken(path)) is not None]

    def clear(self) -> None:
        """Forgets what was asked of a search that has ended since."""
        for path in self._files():
            self._taken(path)
        with suppress(OSError):
            self._folder.rmdir()

    def _files(self) -> Iterator[Path]:
        with suppress(OSError):  # there is no folder
            yield from sorted(self._folder.glob("stop*"))

    def _taken(self, path: Path) -> StopRequest | None:
        try:
            sender, owner = path.stat().st_uid, self._search_folder.stat().st_uid
            path.unlink()
        except OSError:
            return None
        named = re.fullmatch(r"stop(?:-trial-(\d+))?", path.name)
        if named is None or sender not in (owner, 0):
            return None
        return StopRequest(int(named[1]) if named[1] else None)
