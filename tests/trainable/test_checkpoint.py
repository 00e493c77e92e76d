"""Checkpoints: what goes in comes out, and damage is noticed."""

import resource
import zipfile
from pathlib import Path

import pytest
import torch

from configs.errors import ConfigError
from trainable.checkpoint import FORMAT, CheckpointError, load_checkpoint, save_checkpoint
from trainable.process_state import rng_state
from trainable.weights import read_weights

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


@pytest.mark.parametrize(
    "bomb",  # made in the test: nobody should print one
    [
        lambda: torch.zeros(1).expand(2**33),
        lambda: list(torch.zeros(2**20).expand(5, -1)),  # which share their bytes
        with_itself,
        lambda: doubled(40),
        lambda: torch.zeros(2**20),
    ],
    ids=["a number that is repeated", "the same numbers", "a list in itself", "lists of lists", "zeros, compressed"],
)
def test_what_claims_more_than_the_file_holds_is_refused_before_memory_is_asked_for(bomb, tmp_path, request):
    path = str(tmp_path / "a.pt")
    torch.save({"format": FORMAT, "sha256": "", "w": bomb()}, path)
    if "compressed" in request.node.name:
        with zipfile.ZipFile(path) as plain, zipfile.ZipFile("b.pt", "w", zipfile.ZIP_DEFLATED) as deflated:
            for record in plain.infolist():
                deflated.writestr(record.filename, plain.read(record))
        path = "b.pt"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match=r"claim.? more than the file holds"):
        load_checkpoint(path)
    with pytest.raises(ConfigError, match=r"cannot be read as weights .*claim.? more than the file holds"):
        read_weights(Path(path), "MODEL.WARM_START_PATH")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


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
