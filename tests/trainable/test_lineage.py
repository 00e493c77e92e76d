"""Trainings whose values change between epochs, as a population leaves them."""

import contextlib
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg, settings_at
from tests.conftest import without_times, write_tiny
from trainable.fit import fit
from trainable.run_folder import RunFolder

RATE, ROTATION = "MODEL.SOLVER.OPTIMIZER.BASE_LR", "DATASET.AUGMENTATION.ROTATION_PROB"
LINEAGE = (
    "LINEAGE:\n"
    f"- {{trial: 3, epochs: [1, 1], settings: {{{RATE}: 1e-3, {ROTATION}: 0}}}}\n"
    f"- {{trial: 1, epochs: [2, 2], settings: {{{RATE}: 0.01, MODEL.SOLVER.OPTIMIZER.WEIGHT_DECAY: 0.1}}}}\n"
)


def load(text: str, *pairs: str):
    experiment = write_tiny(
        Path("exp.yaml"), {"MODEL.SOLVER.TOTAL_EPOCHS": "4"} | dict(zip(pairs[::2], pairs[1::2], strict=True))
    )
    experiment.write_text(experiment.read_text() + text)
    return load_cfg(experiment)


def train(cfg, name: str, epochs: int | None = None, resume: bool = False) -> list[dict]:
    rows: list[dict] = []

    def report(row: dict, checkpoint: Path) -> None:
        rows.append(row)
        if len(rows) == epochs:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        fit(cfg, report, RunFolder(name), resume=resume)
    return without_times(rows)


def test_epochs_have_the_values_of_their_segment():
    cfg = load(LINEAGE)
    assert settings_at(cfg, 1) == {RATE: 0.001, ROTATION: 0.0}
    assert settings_at(cfg, 2) == {RATE: 0.01, "MODEL.SOLVER.OPTIMIZER.WEIGHT_DECAY": 0.1}
    assert settings_at(cfg, 3) == {}
    rows = train(cfg, "a")
    assert [row["lr"] for row in rows] == [0.001, 0.01, 0.001, 0.001]
    plain = train(load(""), "b")
    assert [row["lr"] for row in plain] == [0.001] * 4
    assert rows[0] != plain[0], "no rotation"


def test_the_first_epochs_are_those_of_the_trial_that_had_the_values():
    donor = train(load("", RATE, "0.001", ROTATION, "0"), "donor")
    assert train(load(LINEAGE), "child")[0] == donor[0]


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_it_resumes_exactly(epochs):
    whole = train(load(LINEAGE), "whole")
    begun = train(load(LINEAGE), "halves", epochs)
    assert begun + train(load(LINEAGE), "halves", resume=True) == whole


def test_the_dumped_config_has_it_too():
    cfg = load(LINEAGE)
    train(cfg, "a", 1)
    dumped = load_cfg("a/results/config.yaml")
    assert dumped.LINEAGE == cfg.LINEAGE
    assert "LINEAGE: [{trial: 3, epochs: [1, 1]" in Path("a/results/config.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("LINEAGE: 3\n", "LINEAGE: found 3, allowed is a list of {trial: number, epochs: [first, last]"),
        ("LINEAGE: [{trial: 1, epochs: [2, 3], settings: {}}]\n", "whose epochs follow each other"),
        (
            "LINEAGE: [{trial: 1, epochs: [1, 2], settings: {SEED: 3}}]\n",
            "SEED cannot change in a model that is trained",
        ),
        (f"LINEAGE: [{{trial: 1, epochs: [1, 2], settings: {{{RATE}: 0}}}}]\n", "BASE_LR: found 0, allowed is"),
        (
            f"LINEAGE: [{{trial: 1, epochs: [1, 2], settings: {{{RATE}: 0.1}}}}]\nMODEL.SOLVER.SCHEDULER: cosine\n",
            "needs MODEL.SOLVER.SCHEDULER.NAME unchange, found cosine",
        ),
    ],
)
def test_mistakes(text, message):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert message in str(caught.value)
