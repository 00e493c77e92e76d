"""Which keys of a config were looked at."""

import pytest

from configs.dump import dump_cfg
from configs.loader import changed_keys, load_cfg, with_values
from configs.tracking import track_reads


def test_what_is_looked_at_by_name_is_noted():
    cfg, reads = track_reads(load_cfg())
    assert cfg.MODEL.HEAD.DROPOUT == 0.0
    assert cfg.DATASET["BATCH_SIZE"] == 32
    assert reads == {"MODEL.HEAD.DROPOUT", "DATASET.BATCH_SIZE"}


def test_copies_note_in_the_same_place():
    cfg, reads = track_reads(load_cfg())
    copied = with_values(cfg, {"MODEL.HEAD.DROPOUT": 0.5}).MODEL.HEAD
    assert not reads
    assert copied.DROPOUT == 0.5
    assert reads == {"MODEL.HEAD.DROPOUT"}


def test_dumping_and_comparing_note_nothing():
    cfg, reads = track_reads(load_cfg())
    assert dump_cfg(cfg, derived=with_values(cfg, {"SEED": 0})) == dump_cfg(load_cfg())
    assert changed_keys(cfg, load_cfg(None, ["SEED", "1"])) == ["SEED"]
    assert not reads


def test_it_is_frozen_as_others_are():
    cfg, _ = track_reads(load_cfg())
    with pytest.raises(AttributeError):
        cfg.MODEL.HEAD.DROPOUT = 0.5
