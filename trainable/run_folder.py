"""The folder of one training: its files, and the lock that keeps two trainings out of one folder."""

import csv
import fcntl
import io
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.files import write_atomically
from configs.metric_names import METRICS

LOCK = ".lock"
TASK_METRICS = ("epoch", "task", "acc", "recall")


class RunFolder:
    """Names every file that a training leaves behind; a trial of a search has the same.

    Args:
        path: of the folder.
        is_trial: whether it is the folder of a trial of a search, which keeps no backups unless MODEL_BACKUPS says so.
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
        self.log = self.path / "train.log"

    def is_used(self) -> bool:
        """Whether the folder holds anything but the lock of a process that came before."""
        return self.path.exists() and (not self.path.is_dir() or any(p.name != LOCK for p in self.path.iterdir()))

    @contextmanager
    def locked(self, wait: float = 0.0) -> Iterator[None]:
        """Keeps other processes from training in this folder; a process that dies gives up its lock.

        Args:
            wait: seconds to wait for another process to leave.

        Raises:
            ConfigError: another process trains here.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / LOCK, "w") as lock:
            deadline = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise ConfigError(
                            f"{self.path}: another process is training in this folder; wait for it or stop it"
                        ) from None
                    time.sleep(0.2)
            yield

    def read_metrics(self) -> list[dict[str, Any]]:
        """Returns the rows of metrics.csv, one an epoch; a last line that was cut off is left out."""
        if not self.metrics.exists():
            return []
        text = self.metrics.read_text()
        complete = text[: text.rfind("\n") + 1]
        return [
            {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}
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
        with open(self.metrics, "a", newline="") as file:
            csv.DictWriter(file, METRICS, lineterminator="\n").writerow(row)
            file.flush()
            os.fsync(file.fileno())

    def keep_as(self, target: Path) -> None:
        """Keeps latest.pt under a second name; no bytes are copied where the file system has hard links."""
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f".{target.name}.link")
        temporary.unlink(missing_ok=True)
        try:
            os.link(self.latest, temporary)
            os.replace(temporary, target)
        except OSError:
            write_atomically(target, self.latest.read_bytes())

    def keep_backup(self, epoch: int, limit: int | None) -> None:
        """Keeps latest.pt as the backup of an epoch, and at most `limit` backups (None: the folder's default)."""
        limit = 0 if limit is None and self.is_trial else limit
        if limit == 0:
            return
        self.keep_as(self.backups / f"epoch_{epoch:04d}.pt")
        if limit is not None:
            for old in self.backup_files()[:-limit]:
                old.unlink()

    def backup_files(self) -> list[Path]:
        """The backups, oldest first."""
        return sorted(self.backups.glob("epoch_*.pt"))
