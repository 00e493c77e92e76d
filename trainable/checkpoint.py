"""Checkpoints: complete or absent, with a checksum, read without running code from the file."""

import hashlib
import io
import os
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from configs.errors import ConfigError
from configs.files import write_atomically

FORMAT = 3
_KINDS: dict[str, type | tuple[type, ...]] = {
    **{"epoch": int, "config": str, "working_folder": str, "model": dict, "optimizer": dict, "rng": dict, "code": dict},
    **{"metrics": list, "task_metrics": list, "classes": dict, "derived": dict, "task_weights": (list, tuple)},
}
# What tensors, and mappings of them, are made of; other names that torch allows can ask for any amount of memory.
_USED = re.compile(
    r"collections (OrderedDict|Counter)|torch\._utils _rebuild_(tensor_v2|parameter|parameter_with_state)"
    r"|torch \w+Storage|torch (Size|device|u?int\d+|b?float\d+|float8\w+|complex\d+|bool)"
    r"|torch\.nn\.parameter Parameter|(__builtin__|builtins) (set|complex)"
)
_OLD_PICKLES = 5
MOST_SHARED = 4  # how often the bytes of a file may be used, by tensors that share them


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
        content = read_torch_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except OSError:
        raise
    except Exception as error:  # torch's reader raises whatever the damage happens to trip over
        why = str(error) if isinstance(error, ClaimError) else type(error).__name__
        hint = "" if Path(path).suffix == ".pt" else "; those of a training are best.pt and latest.pt in its folder"
        raise CheckpointError(f"{path}: damaged, or no checkpoint ({why}){hint}") from None
    if not isinstance(content, dict) or "sha256" not in content or "format" not in content:
        raise CheckpointError(f"{path}: no checkpoint of yacstune")
    if content["format"] != FORMAT:
        raise CheckpointFormatError(
            f"{path}: has format {content['format']}, this version reads format {FORMAT}; use the version that wrote it"
        )
    try:
        is_whole = content.pop("sha256") == _digest(content)
    except Exception:  # tensors of kinds that we never write, or something that is nested too deeply
        is_whole = False
    if not is_whole:
        raise CheckpointError(f"{path}: damaged: its content does not match its checksum")
    other = [name for name, kind in _KINDS.items() if name in content and not isinstance(content[name], kind)]
    if other:
        raise CheckpointError(
            f"{path}: holds a {type(content[other[0]]).__name__} as {other[0]}; no training wrote that"
        )
    return content


@contextmanager
def fitting(path: str | Path) -> Iterator[None]:
    """Takes what goes wrong in the `with` block for a mistake in a checkpoint, which others may have written.

    Raises:
        ConfigError: something does not fit.
    """
    try:
        yield
    except (ConfigError, OSError, MemoryError):
        raise
    except Exception as error:  # of torch, of the optimizer, of whatever takes up its state
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"{path}: does not fit: {type(error).__name__}: {reason}; use a checkpoint as a training has written it"
        ) from error


class ClaimError(ValueError):
    """A file claims to hold more than it does."""


def read_torch_file(path: str | Path) -> Any:
    """Reads what torch.save has written onto the CPU, without running code from it.

    It takes about as much memory as the file, whatever that claims. A few bytes can claim any number of elements: by
    one number that is repeated, a list that holds itself, a compressed record, an empty array of some length.

    Raises:
        ClaimError: the file claims more than it holds, or names what no weights need.
        OSError: it cannot be read.
        Exception: whatever the damage happens to trip over.
    """
    with open(path, "rb") as file:
        _check_records(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
        _check_claims(content, os.fstat(file.fileno()).st_size)
    return content


def _check_records(file: BinaryIO) -> None:
    """Raises ClaimError for what must not even be begun to be read; leaves the file at its start."""
    size = os.fstat(file.fileno()).st_size
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            records = archive.infolist()
            if sum(one.file_size for one in records) > size or any(one.compress_type for one in records):
                raise ClaimError("its records claim more than the file holds")
            for one in records:
                if one.filename.endswith(".pkl"):
                    _check_names(io.BytesIO(archive.read(one)))
    else:  # of torch before 1.6: several pickles, then the numbers
        file.seek(0)
        for _ in range(_OLD_PICKLES):
            _check_names(file)
    file.seek(0)


def _check_names(pickled: BinaryIO) -> None:
    """Raises ClaimError if a pickle names anything that weights are not made of; nothing of it is run."""
    for operation, argument, _ in pickletools.genops(pickled):
        names = operation.name in ("GLOBAL", "INST", "STACK_GLOBAL")  # the last takes its name from the stack
        if names and not _USED.fullmatch(str(argument)):
            raise ClaimError(f"it names {argument or 'something'}, of which no weights are made")


def _check_claims(content: Any, size: int) -> None:
    """Raises ClaimError if values take more bytes than the file that they were read from, of `size` bytes."""
    left, items = [content], 1
    tensor_bytes = 0
    while left:
        value = left.pop()
        if torch.is_tensor(value):
            tensor_bytes += value.numel() * value.element_size()
        elif isinstance(value, (Mapping, Sequence, Set)) and not isinstance(value, str):
            items += len(value)
            if items <= size:  # each took a byte at least, unless it is there twice
                left += value.values() if isinstance(value, Mapping) else value
        if items > size or tensor_bytes > MOST_SHARED * size:
            raise ClaimError("it claims more than the file holds")


def peek(path: str | Path) -> dict[str, Any]:
    """Returns what a checkpoint holds, with its tensors left on the disk and unverified; nothing for another file."""
    try:
        with open(path, "rb") as file:
            _check_records(file)
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
