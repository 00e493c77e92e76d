"""Where the value of a key comes from."""

from pathlib import Path

import pytest

from search.run import main as search
from trainable.train import main as train

SPACE = """\
base: base.yaml
search: {num_samples: 2}
space:
  MODEL.HEAD.DROPOUT: {uniform: [0.0, 0.6]}
  MODEL.SOLVER.OPTIMIZER.BASE_LR: {derive: 0.1 * MODEL.HEAD.DROPOUT + 0.01}
  DATASET.BATCH_SIZE: 48
"""


@pytest.fixture(autouse=True)
def files():
    Path("base.yaml").write_text("DATASET:\n  BATCH_SIZE: 32\nMODEL.HEAD.DROPOUT: 0.2\n")
    Path("s.yaml").write_text(SPACE)


def lines(capsys, main, *words: str) -> list[str]:
    assert main([*words]) == 0
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("note:")]


def test_a_training_tells_every_layer_the_strongest_first(capsys, monkeypatch):
    Path(".env").write_text("# ours\nDATASET__BATCH_SIZE=20\n")
    monkeypatch.setenv("DATASET.BATCH_SIZE", "16")
    told = lines(capsys, train, "--cfg", "base.yaml", "--explain", "DATASET.BATCH_SIZE")
    assert told == [
        "DATASET.BATCH_SIZE: 16  (environment variable DATASET.BATCH_SIZE)",
        f"  instead of 20  (.env ({Path.cwd()}/.env), line 2)",
        "  instead of 32  (base.yaml, line 2)",
        "  instead of 32  (configs/defaults.py)",
    ]


def test_a_search_tells_what_is_sampled_derived_constant_and_its_own(capsys):
    def told(key: str, *pairs: str) -> list[str]:
        return lines(capsys, search, "--space", "s.yaml", "--explain", key, *pairs)

    assert told("MODEL.HEAD.DROPOUT") == [
        "MODEL.HEAD.DROPOUT: sampled from {uniform: [0.0, 0.6]}  (s.yaml, line 4)",
        "  the base config has 0.2  (base.yaml, line 3)",
        "  instead of 0  (configs/defaults.py)",
    ]
    assert told("MODEL.SOLVER.OPTIMIZER.BASE_LR")[0] == (
        "MODEL.SOLVER.OPTIMIZER.BASE_LR: derived from 0.1 * MODEL.HEAD.DROPOUT + 0.01  (s.yaml, line 5)"
    )
    assert told("DATASET.BATCH_SIZE", "DATASET.BATCH_SIZE", "64") == [
        "DATASET.BATCH_SIZE: 64  (command line)",
        "  instead of 48  (s.yaml, line 6)",
        "  instead of 32  (base.yaml, line 2)",
        "  instead of 32  (configs/defaults.py)",
    ]
    assert told("BEST_METRIC")[0] == "BEST_METRIC: 'val_score'  (set by the search)"
    assert told("NUM_THREADS")[0] == "NUM_THREADS: 1  (search: resources: cpu)"
    assert not Path("experiments").exists()


def test_a_node_stands_for_all_keys_below_it(capsys):
    told = lines(capsys, train, "--cfg", "base.yaml", "--explain", "MODEL.HEAD")
    assert "MODEL.HEAD.DROPOUT: 0.2  (base.yaml, line 3)" in told and any("MODEL.HEAD.NAME" in line for line in told)


def test_a_secret_is_masked(capsys, monkeypatch):
    monkeypatch.setenv("GCP_KEY", "s3cret")
    for main, start in ((train, ["--cfg", "base.yaml"]), (search, ["--space", "s.yaml"])):
        told = lines(capsys, main, *start, "--explain", "GCP_KEY")
        assert told[0] == "GCP_KEY: (a secret)  (environment variable GCP_KEY)" and "s3cret" not in str(told)


@pytest.mark.parametrize(("main", "start"), [(train, ["--cfg", "base.yaml"]), (search, ["--space", "s.yaml"])])
def test_an_unknown_key_is_answered_with_the_nearest(main, start, capsys):
    assert main([*start, "--explain", "MODEL.HEAD.DROPOUTT"]) == 2
    assert "unknown key 'MODEL.HEAD.DROPOUTT'. Did you mean 'MODEL.HEAD.DROPOUT'?" in capsys.readouterr().err
