"""What a worker does before a trial trains on with the weights of another."""

import pytest

from configs.dump import dump_cfg
from configs.errors import ConfigError
from configs.loader import load_cfg
from search.trials.trial import _searched, _take_over
from tests.conftest import write_tiny
from trainable.checkpoint import load_checkpoint, save_checkpoint
from trainable.run_folder import RunFolder


def state(epoch: int, *scores: float) -> dict:
    """What a checkpoint holds, as far as it counts here; without scores each epoch is better than the one before."""
    values = scores or range(epoch)
    return {"config": "", "epoch": epoch, "metrics": [{"epoch": n, "val_score": v} for n, v in enumerate(values, 1)]}


def test_weights_are_taken_over_once_whatever_is_damaged(tmp_path):
    cfg = load_cfg(write_tiny(tmp_path / "tiny.yaml", {}))
    donor, taker = (RunFolder(tmp_path / name, is_trial=True) for name in ("0000_donor", "0001_taker"))
    for folder in (donor, taker):
        folder.path.mkdir()
    for epoch in (1, 2, 3):  # it has trained on since
        save_checkpoint(donor.latest, state(epoch))
        donor.keep_backup(epoch, None)
    taken = {"number": 0, "name": donor.path.name, "epoch": 2}

    taker.latest.write_bytes(b"half of a checkpo")
    _take_over(cfg, taker, taken)
    assert load_checkpoint(taker.latest)["epoch"] == load_checkpoint(taker.best)["epoch"] == 2

    save_checkpoint(taker.latest, {**state(3), "config": dump_cfg(cfg)})  # trained on with them, then interrupted
    _take_over(cfg, taker, taken)
    assert load_checkpoint(taker.latest)["epoch"] == 3

    taker.latest.unlink()
    donor.backup(2).write_bytes(b"half of a checkpo")
    with pytest.raises(ConfigError, match=r"the weights of trial 0 cannot be taken over: .*epoch_0002.pt: damaged"):
        _take_over(cfg, RunFolder(tmp_path / "0002_another"), taken)


@pytest.mark.parametrize(
    ("backups", "best", "expected"),
    [
        (3, 1, 1),  # among the backups
        (1, 1, 1),  # best.pt alone has it
        (1, 3, None),  # replaced by a better one, which comes after the weights that are taken
    ],
)
def test_the_best_of_the_epochs_that_are_taken_over_comes_along(tmp_path, backups, best, expected):
    cfg = load_cfg(write_tiny(tmp_path / "tiny.yaml", {}))
    donor, taker = (RunFolder(tmp_path / name, is_trial=True) for name in ("0000_donor", "0001_taker"))
    for folder in (donor, taker):
        folder.path.mkdir()
    scores = [0.8, 0.6, 0.9 if best == 3 else 0.7]
    for epoch in (1, 2, 3):
        save_checkpoint(donor.latest, state(epoch, *scores[:epoch]))
        donor.keep_backup(epoch, backups + 1)
        if scores[epoch - 1] == max(scores[:epoch]):
            donor.keep_as(donor.best)
    save_checkpoint(taker.best, state(1, 0.7))
    _take_over(cfg, taker, {"number": 0, "name": donor.path.name, "epoch": 2})
    assert load_checkpoint(taker.latest)["epoch"] == 2
    assert (load_checkpoint(taker.best)["epoch"] if taker.best.exists() else None) == expected


def test_tensorboard_is_told_the_same_keys_by_each_trial(tmp_path):
    cfg = load_cfg(write_tiny(tmp_path / "tiny.yaml", {"MODEL.SOLVER.OPTIMIZER.BASE_LR": "0.5"}))
    searched = ["MODEL.SOLVER.OPTIMIZER.BASE_LR", "MODEL.HEAD.DROPOUT", "width"]
    sample = {"is_reference": False, "params": {"width": 3, "MODEL.SOLVER.OPTIMIZER.BASE_LR": 0.1, "derived": 7}}
    assert _searched(cfg, sample, searched) == dict(zip(searched, (0.1, None, 3), strict=True))
    base = {"is_reference": True, "params": {}}
    assert _searched(cfg, base, searched) == dict(zip(searched, (0.5, cfg.MODEL.HEAD.DROPOUT, None), strict=True))
