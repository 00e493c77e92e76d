"""Files are complete or absent."""

import os
from pathlib import Path

import pytest

from configs.files import write_atomically


def test_writes_text_and_bytes():
    write_atomically("a.txt", "text")
    write_atomically("a.txt", b"bytes")
    assert Path("a.txt").read_bytes() == b"bytes"
    assert os.listdir() == ["a.txt"]


def test_a_failure_leaves_the_old_file_and_nothing_else(monkeypatch):
    write_atomically("a.txt", "old")

    def fail(handle):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically("a.txt", "new")
    assert Path("a.txt").read_text() == "old"
    assert os.listdir() == ["a.txt"]
