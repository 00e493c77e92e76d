"""Files: written so that they are complete or absent, whatever dies in between, and how their paths are shown."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Writes beside `path`, flushes to the disk, then renames: readers see the old file or the whole new one.

    Raises:
        OSError: with `path` as its filename; the old file is as it was.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    with _naming(path):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~current_umask())  # mkstemp makes it private
            os.replace(temporary, path)
            _flush_folder(path.parent)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def append_line(path: Path, line: str) -> None:
    """Adds a line to a file and flushes it to the disk. A process that is killed meanwhile may leave a part of it.

    Raises:
        OSError: with `path` as its filename; nothing was added.
    """
    data = line.encode() + b"\n"
    with _naming(path), open(path, "ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:  # no half line stays, to which the next would be added
            os.truncate(path, size)
            raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names the file in errors; those of writing itself do not say where the disk was full."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_leftovers(folder: Path) -> None:
    """Removes what processes that were killed while they wrote have left in a folder; nobody may write there now."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def current_umask() -> int:
    """Returns the permissions that new files do not get; it can be read by setting it alone."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def flush_files(folder: Path) -> None:
    """Makes the files in a folder last through a power cut."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """Makes a rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def shown_path(path: str | Path) -> str:
    """Returns a path as people would write it here: relative where it lies below the working folder."""
    return os.path.relpath(path) if lies_below_working_folder(path) else str(path)


def lies_in_project(path: str | Path) -> bool:
    """Whether a path leads into the working folder, and that may be a project: neither a home folder nor the root."""
    here = Path.cwd()
    return lies_below_working_folder(path) and here not in (Path(here.anchor), Path.home())


def lies_below_working_folder(path: str | Path) -> bool:
    """Whether a path leads into the working folder; links are not followed."""
    return os.path.relpath(path).split(os.sep)[0] != ".."
