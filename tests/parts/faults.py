"""Faults that happen at a named point, once: a module of a user, which driver and workers of a search import.

It lies, as a copy, beside a fault.json: {"point": name, "count": how often the point is passed before}.
"""

import errno
import json
import os
import signal
from pathlib import Path

import search.engine.schedulers.waiting
import search.record.event_log
import search.record.results
import search.trials.trial
import trainable.checkpoint
import trainable.run_folder
import trainable.training

HERE = Path(__file__).parent
FAULT = json.loads((HERE / "fault.json").read_text()) if (HERE / "fault.json").exists() else {"point": "", "count": 0}

passed = 0


def is_due(point: str) -> bool:
    """Whether the fault is to happen now, at this point."""
    global passed
    if point != FAULT["point"]:
        return False
    passed += 1
    if passed <= FAULT["count"]:
        return False
    try:
        os.close(os.open(HERE / "has_happened", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _in_the_middle(point: str, write):
    """Wraps a function that writes a whole file: half of a temporary one is there when the process dies."""

    def writing(path, content):
        if is_due(point):
            data = content.encode() if isinstance(content, str) else content
            Path(path).with_name(f".{Path(path).name}.killed.tmp").write_bytes(data[: len(data) // 2])
            die()
        write(path, content)

    return writing


def _half_a_line(append):
    def appending(self, event):
        if is_due("event"):
            with open(self.path, "ab") as file:
                file.write(b'{"kind": "trial_repo')
            die()
        append(self, event)

    return appending


def _before(point: str, function):
    def wrapped(*args, **kwargs):
        if is_due(point):
            die()
        return function(*args, **kwargs)

    return wrapped


def _after(point: str, function):
    def wrapped(*args, **kwargs):
        result = function(*args, **kwargs)
        if is_due(point):
            die()
        return result

    return wrapped


DISK_IS_FULL = HERE / "disk_is_full"  # while it is there, nothing can be written, whoever tries


def _on_full_disk(point: str, write):
    """Wraps a function that writes a file; the disk gets full at the named point."""

    def writing(path, content):
        if is_due(point):
            DISK_IS_FULL.touch()
        if DISK_IS_FULL.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    return writing


def _without(path: Path, function):
    """Wraps a function before which a folder vanishes."""

    def wrapped(*args, **kwargs):
        if is_due("vanish"):
            path.rename(HERE / "vanished")
        return function(*args, **kwargs)

    return wrapped


def _hang(function):
    def wrapped(*args, **kwargs):
        if is_due("hang"):
            signal.pause()
        return function(*args, **kwargs)

    return wrapped


def _without_a_metric(fit):
    """Wraps the training loop, so that a report lacks the score."""

    def wrapped(cfg, report, *args, **kwargs):
        def incomplete(row, path):
            lost = {"val_score"} if is_due("metric") else set()
            report({name: value for name, value in row.items() if name not in lost}, path)

        return fit(cfg, incomplete, *args, **kwargs)

    return wrapped


checkpoint, folder, training = trainable.checkpoint, trainable.run_folder.RunFolder, trainable.training.Training
# in workers
checkpoint.write_atomically = _on_full_disk("full", _in_the_middle("checkpoint", checkpoint.write_atomically))
folder.append_metrics = _before("metrics", folder.append_metrics)
folder.keep_as = _before("best", folder.keep_as)
training.train_batch = _without(HERE / "images" / "1", _hang(_before("step", training.train_batch)))
search.trials.trial.fit = _without_a_metric(search.trials.trial.fit)
training.state_dict = _before("epoch", training.state_dict)
# in the driver
search.record.event_log.EventLog.append = _half_a_line(search.record.event_log.EventLog.append)
search.record.event_log.append_line = _on_full_disk("full for the driver", search.record.event_log.append_line)
search.record.results.write_atomically = _on_full_disk(
    "full for results", _in_the_middle("results", search.record.results.write_atomically)
)
scheduler = search.engine.schedulers.waiting.WaitingScheduler
scheduler.reach, scheduler.leave = _after("rung", scheduler.reach), _after("promotion", scheduler.leave)
