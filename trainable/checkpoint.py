"""Checkpoints: complete or absent, with a checksum, read without running code from the file."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from configs.errors import ConfigError
from configs.files import write_atomically

FORMAT = 3


class CheckpointError(RuntimeError):
    """A checkpoint is missing, damaged or of another format."""


class CheckpointFormatError(ConfigError, CheckpointError):
    """A checkpoint was written by a version of this project whose checkpoints this one does not read."""


def save_checkpoint(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint.

    Args:
        path: of the file; replaced in one step if it exists.
        content: tensors, numbers, text, and lists, tuples and dicts of them.
    """
    content = {"format": FORMAT, **content}
    buffer = io.BytesIO()
    torch.save({**content, "sha256": _digest(content)}, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU and verifies its checksum.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint of ours, or of another format.
        OSError: the file is there and cannot be read now; it may be whole.
    """
    try:
        buffer = io.BytesIO(Path(path).read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    try:
        content = torch.load(buffer, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises whatever the damage happens to trip over
        raise CheckpointError(f"{path}: damaged, or no checkpoint ({type(error).__name__})") from None
    if not isinstance(content, dict) or "sha256" not in content or "format" not in content:
        raise CheckpointError(f"{path}: no checkpoint of yacstune")
    if content["format"] != FORMAT:
        raise CheckpointFormatError(
            f"{path}: has format {content['format']}, this version reads format {FORMAT}; use the version that wrote it"
        )
    if content.pop("sha256") != _digest(content):
        raise CheckpointError(f"{path}: damaged: its content does not match its checksum")
    return content


def peek(path: str | Path) -> dict[str, Any]:
    """Returns what a checkpoint holds, with its tensors left on the disk and unverified; nothing for another file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # torch's reader raises whatever a foreign file happens to trip over
        return {}
    return content if isinstance(content, dict) and {"format", "sha256"} <= content.keys() else {}


def _digest(content: Any) -> str:
    digest = hashlib.sha256()
    _feed(digest, content)
    return digest.hexdigest()


def _feed(digest: "hashlib._Hash", value: Any) -> None:
    if torch.is_tensor(value):
        digest.update(f"{value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            digest.update(repr(key).encode())
            _feed(digest, item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        digest.update(f"{len(value)} items".encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(repr(value).encode())
