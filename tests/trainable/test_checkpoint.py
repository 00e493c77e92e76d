"""Checkpoints: what goes in comes out, and damage is noticed."""

from pathlib import Path

import pytest
import torch

from trainable.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
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
