"""The folder of one training: its files, and the lock that keeps two trainings out of one folder."""

import csv
import fcntl
import io
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.files import append_line, remove_leftovers, write_atomically
from configs.metric_names import METRICS, WHOLE

LOCK, LOG = ".lock", "train.log"
LOOK = 0.3  # seconds: whoever looks whether a folder is locked holds its lock for less
TASK_METRICS = ("epoch", "task", "acc", "recall")


class FolderInUseError(ConfigError):
    """Another process trains in the folder."""


class FolderLock:
    """Keeps other processes from training in a folder while the `with` block runs.

    A process that dies gives up its lock.

    Args:
        folder: is made if it is not there.
        wait: seconds to wait for another process to leave.
        is_new: refuse a folder that another process has used since it was chosen.

    Raises:
        FolderInUseError: another process trains here, or has done so.
    """

    def __init__(self, folder: Path, wait: float, is_new: bool):
        self._folder = folder
        self._wait = wait
        self._is_new = is_new

    def __enter__(self) -> "FolderLock":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file = open(self._folder / LOCK, "a")
        self.acquire()
        self._file.truncate(0)
        self._file.write(platform.node())
        self._file.flush()
        if self._is_new and RunFolder(self._folder).is_used():
            self._file.close()
            raise FolderInUseError(f"{self._folder}: another process has taken the folder meanwhile; start again")
        for name in (".", "results", "results/classes", "model_backups"):
            remove_leftovers(self._folder / name)
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def acquire(self) -> None:
        """Takes the lock (again)."""
        deadline = time.monotonic() + self._wait
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self._file.close()
                    raise FolderInUseError(
                        f"{self._folder}: another process is at work in this folder; wait for it or stop it"
                    ) from None
                time.sleep(0.2)

    def release(self) -> None:
        """Lets others in, until `acquire`."""
        fcntl.flock(self._file, fcntl.LOCK_UN)


def holder(folder: Path) -> str:
    """Returns the name of the machine that trains in a folder, or did last; empty if that is not known."""
    try:
        return (folder / LOCK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


class RunFolder:
    """Names every file that a training leaves behind; a trial of a search has the same.

    Args:
        path: of the folder.
        is_trial: whether it is the folder of a trial of a search, which keeps two backups unless MODEL_BACKUPS says
            otherwise: the last epoch, and the one before in case the last is damaged.
    """

    def __init__(self, path: str | Path, is_trial: bool = False):
        self.path = Path(path)
        self.is_trial = is_trial
        self.config = self.path / "results" / "config.yaml"
        self.metrics = self.path / "results" / "metrics.csv"
        self.task_metrics = self.path / "results" / "tasks.csv"
        self.confusion = self.path / "results" / "confusion.png"
        self.latest = self.path / "latest.pt"
        self.best = self.path / "best.pt"
        self.backups = self.path / "model_backups"
        self.tensorboard = self.path / "tensorboard"
        self.log = self.path / LOG

    def is_used(self) -> bool:
        """Whether the folder holds anything but what a process leaves that ended before it trained."""
        if not self.path.is_dir():
            return self.path.exists()
        names = (file.name for file in self.path.iterdir())
        return any(name not in (LOCK, LOG) and not re.fullmatch(r"\..*\.tmp", name) for name in names)

    def locked(self, wait: float = LOOK, is_new: bool = False) -> "FolderLock":
        """Returns the lock of the folder, for `with`; see FolderLock."""
        return FolderLock(self.path, wait, is_new)

    def is_locked(self) -> bool:
        """Whether another process is at work in the folder; looking changes nothing there."""
        try:
            with open(self.path / LOCK, "rb") as file:  # whose end gives up the lock
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # nobody has been here
            return False
        return False

    def refuse_if_locked(self) -> None:
        """Raises FolderInUseError if another process trains in the folder."""
        with self.locked():
            pass

    def read_metrics(self) -> list[dict[str, Any]]:
        """Returns the rows of metrics.csv, one an epoch; a last line that was cut off is left out."""
        if not self.metrics.exists():
            return []
        text = self.metrics.read_text()
        complete = text[: text.rfind("\n") + 1]
        return [
            {name: int(value) if name in WHOLE else float(value) for name, value in row.items()}
            for row in csv.DictReader(io.StringIO(complete))
        ]

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replaces metrics.csv."""
        self.metrics.parent.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        writer = csv.DictWriter(text, METRICS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.metrics, text.getvalue())

    def write_task_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replaces tasks.csv: accuracy and macro recall of each epoch and task."""
        text = io.StringIO()
        writer = csv.DictWriter(text, TASK_METRICS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.task_metrics, text.getvalue())

    def class_table(self, epoch: int) -> Path:
        """The table of classes of an epoch."""
        return self.path / "results" / "classes" / f"epoch_{epoch:04d}.parquet"

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Adds the row of an epoch to metrics.csv; floats keep all their digits."""
        line = io.StringIO()
        csv.DictWriter(line, METRICS, lineterminator="").writerow(row)
        append_line(self.metrics, line.getvalue())

    def keep_as(self, target: Path) -> None:
        """Keeps latest.pt under a second name; no bytes are copied where the file system has hard links."""
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f".{target.name}.link.tmp")
        temporary.unlink(missing_ok=True)
        try:
            os.link(self.latest, temporary)
            os.replace(temporary, target)
            temporary.unlink(missing_ok=True)  # it stays, where target was latest.pt already
        except OSError:
            write_atomically(target, self.latest.read_bytes())

    def keep_backup(self, epoch: int, limit: int | None) -> None:
        """Keeps latest.pt as the backup of an epoch, and at most `limit` backups (None: the folder's default)."""
        limit = 2 if limit is None and self.is_trial else limit
        if limit == 0:
            return
        self.keep_as(self.backup(epoch))
        if limit is not None:
            for old in self.backup_files()[:-limit]:
                old.unlink()

    def backup(self, epoch: int) -> Path:
        """The backup of an epoch, whether it is there or not."""
        return self.backups / f"epoch_{epoch:04d}.pt"

    def backup_files(self) -> list[Path]:
        """The backups, oldest first."""
        return sorted(self.backups.glob("epoch_*.pt"))
