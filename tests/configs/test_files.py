"""Files are complete or absent."""

import errno
import os
from pathlib import Path

import pytest

from configs.files import append_line, write_atomically


def test_writes_text_and_bytes():
    write_atomically("a.txt", "text")
    write_atomically("a.txt", b"bytes")
    assert Path("a.txt").read_bytes() == b"bytes"
    assert os.listdir() == ["a.txt"]


@pytest.mark.parametrize("write", [write_atomically, append_line])
def test_a_failure_leaves_the_old_file_and_nothing_else(write, monkeypatch):
    path = Path("a.txt")
    append_line(path, "old")

    def fail(handle):
        raise OSError(errno.ENOSPC, "No space left on device")  # without the file's name, as of a real write

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: 'a.txt'"):
        write(path, "new")
    assert path.read_text() == "old\n"
    assert os.listdir() == ["a.txt"]
