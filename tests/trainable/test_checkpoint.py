"""Checkpoints: what goes in comes out, and damage is noticed."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from trainable.checkpoint import FORMAT, CheckpointError, load_checkpoint, save_checkpoint
from trainable.process_state import rng_state

CONTENT = {
    "epoch": 3,
    "model": {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(4), "empty": torch.zeros(0)},
    "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "betas": (0.9, 0.999), "flag": None},
    "metrics": [{"epoch": 1, "val_loss": 0.1}],
    "config": "SEED: 1\n",
}


def test_what_goes_in_comes_out():
    save_checkpoint("a.pt", {**CONTENT, "rng": rng_state()})
    loaded = load_checkpoint("a.pt")
    assert torch.equal(loaded["model"]["w"], CONTENT["model"]["w"])
    assert {**loaded, "model": 0, "rng": 0, "format": 0} == {**CONTENT, "model": 0, "rng": 0, "format": 0}


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_changed_byte_is_noticed(part):
    save_checkpoint("a.pt", {"model": torch.arange(5000.0)})
    content = bytearray(Path("a.pt").read_bytes())
    content[int(part * len(content))] ^= 1
    Path("a.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint("a.pt")


def test_a_cut_off_file_is_noticed():
    save_checkpoint("a.pt", CONTENT)
    Path("a.pt").write_bytes(Path("a.pt").read_bytes()[:-200])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint("a.pt")


def test_content_that_does_not_match_its_checksum_is_noticed():
    save_checkpoint("a.pt", CONTENT)
    tampered = torch.load("a.pt", weights_only=True)
    tampered["epoch"] = 4
    torch.save(tampered, "a.pt")
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        load_checkpoint("a.pt")


def test_other_files():
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_checkpoint("none.pt")
    torch.save({"w": torch.zeros(1)}, "plain.pt")
    with pytest.raises(CheckpointError, match="no checkpoint of yacstune"):
        load_checkpoint("plain.pt")
    save_checkpoint("a.pt", CONTENT)
    newer = torch.load("a.pt", weights_only=True)
    torch.save({**newer, "format": 99}, "newer.pt")
    with pytest.raises(CheckpointError, match="has format 99"):
        load_checkpoint("newer.pt")


def test_nothing_in_a_file_is_run():
    class Evil:
        def __reduce__(self):
            return (Path.touch, (Path("was_run"),))

    torch.save({"sha256": Evil()}, "evil.pt")
    with pytest.raises(CheckpointError):
        load_checkpoint("evil.pt")
    assert not Path("was_run").exists()


def with_itself() -> list:
    items: list = []
    items.append(items)
    return items


def doubled(times: int) -> list:
    items: list = [0]
    for _ in range(times):
        items = [items, items]
    return items


BOMBS = {
    "a number that is repeated": lambda: torch.zeros(1).expand(2**33),
    "the same numbers": lambda: list(torch.zeros(2**20).expand(5, -1)),
    "a list in itself": with_itself,
    "lists of lists": lambda: doubled(40),
    "zeros, compressed": lambda: torch.zeros(2**26),
    "an empty array": lambda: bytearray(5),  # of a length that is written into the file below
    "an empty array, in an old file": lambda: bytearray(5),
}
# Reads each file with little more memory than torch itself takes.
READ = """
import resource, sys
from pathlib import Path
from configs.errors import ConfigError
from trainable.checkpoint import CheckpointError, load_checkpoint, peek
from trainable.weights import read_weights

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 200 * 2**20,) * 2)
for path in sys.argv[1:]:
    print(path, peek(path).keys())
    for read in (load_checkpoint, lambda path: read_weights(Path(path), "MODEL.WARM_START_PATH")):
        try:
            read(path)
        except (CheckpointError, ConfigError) as error:
            print(error)
"""


@pytest.fixture(scope="module")
def bombs(tmp_path_factory) -> dict[str, list[str]]:
    """What is said of each of the files, by its name."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, bomb in BOMBS.items():
        content = {"format": FORMAT, "sha256": "", "w": bomb()}
        torch.save(content, folder / name, _use_new_zipfile_serialization="old" not in name)
        if "zeros" in name or name == "an empty array":
            (folder / name).rename(folder / "plain")
            form = zipfile.ZIP_DEFLATED if "zeros" in name else zipfile.ZIP_STORED
            with zipfile.ZipFile(folder / "plain") as plain, zipfile.ZipFile(folder / name, "w", form) as other:
                for record in plain.infolist():
                    other.writestr(record.filename, with_long_array(plain.read(record)))
        elif "old" in name:
            (folder / name).write_bytes(with_long_array((folder / name).read_bytes()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", READ, *BOMBS]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name = next((name for name in BOMBS if line.startswith(f"{name} dict_keys")), None)
        if name is not None:
            told[name] = []
        told[list(told)[-1]].append(line)
    return told


def with_long_array(data: bytes) -> bytes:
    """Returns a pickle, or what holds one, with bytearray(2**31) in place of an array of five bytes."""
    start = data.find(b"bytearray\n")
    if start < 0:
        return data
    end = data.index(b"R", data.index(b"latin1", start)) if b"latin1" in data[start:] else data.index(b"R", start)
    return data[: start + 10] + b"\x8a\x05\x00\x00\x00\x80\x00\x85R" + data[end + 1 :]


@pytest.mark.parametrize("name", BOMBS)
def test_what_claims_more_than_the_file_holds_is_refused_before_memory_is_asked_for(bombs, name):
    _, of_checkpoint, of_weights = bombs[name]
    why = "it names __builtin__ bytearray, of which no weights are made|claims? more than the file holds"
    assert re.search(f"damaged, or no checkpoint .*({why})", of_checkpoint)
    assert re.search(f"cannot be read as weights .*({why})", of_weights)


def test_what_is_nested_deeper_than_python_counts_is_refused():
    save_checkpoint("a.pt", {"w": []})
    with zipfile.ZipFile("a.pt") as plain, zipfile.ZipFile("b.pt", "w") as deep:
        for record in plain.infolist():
            content = plain.read(record)
            if record.filename.endswith("data.pkl"):  # ] begins a list, and a appends the last one to the one before
                content = content.replace(b"X\x01\x00\x00\x00w", b"X\x01\x00\x00\x00w" + b"]" * 5000 + b"a" * 5000)
            deep.writestr(record.filename, content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint("b.pt")


@pytest.mark.parametrize(("name", "value"), [("epoch", "3"), ("config", None), ("metrics", {}), ("classes", ["a"])])
def test_what_no_training_writes_is_refused(name, value):
    save_checkpoint("a.pt", {**CONTENT, name: value})
    with pytest.raises(CheckpointError, match=rf"a\.pt: holds a {type(value).__name__} as {name}; no training wrote"):
        load_checkpoint("a.pt")
