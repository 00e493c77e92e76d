"""Rungs in the course of the learning rate: a note where they stand at its peak, and a picture in text."""

from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ConfigError
from search.plan import SearchPlan, make_plan
from search.rungs_and_rate import draw, note_on_peak, with_rungs
from search.space.space_file import read_space

SCHEDULER = "MODEL.SOLVER.SCHEDULER"


def plan(scheduler: str, *pairs: str, epochs: int = 12) -> SearchPlan:
    space = "{MODEL.HEAD.DROPOUT: {uniform: [0, 1]}}"
    Path("s.yaml").write_text(f"search: {{scheduler: {scheduler}}}\nspace: {space}\n")
    return make_plan(read_space("s.yaml"), pairs=["MODEL.SOLVER.TOTAL_EPOCHS", str(epochs), *pairs])


ONE_CYCLE = (f"{SCHEDULER}.NAME", "OneCycleLR")  # its peak is after 30 % of the updates: at epoch 3.6


@pytest.mark.parametrize(
    ("scheduler", "pairs", "epochs"),
    [
        ("{asha: {grace_period: 3, reduction_factor: 2}}", ONE_CYCLE, "rungs at epoch 3, 6"),
        ("{asha: {grace_period: 4}}", ONE_CYCLE, "rung at epoch 4"),
        ("{asha: {grace_period: 8}}", ONE_CYCLE, None),
        ("{hyperband: {grace_period: 4}}", ONE_CYCLE, "rung at epoch 4"),
        ("none", ONE_CYCLE, None),
        ("asha", (f"{SCHEDULER}.NAME", "cosine"), None),  # it falls from the start
        ("asha", (f"{SCHEDULER}.NAME", "cosine", f"{SCHEDULER}.WARMUP_EPOCHS", "2"), "rung at epoch 3"),
        ("{asha: {rungs: [1, 9]}}", (f"{SCHEDULER}.NAME", "cosine", f"{SCHEDULER}.WARMUP_EPOCHS", "1"), None),
        ("asha", (f"{SCHEDULER}.NAME", "reduce_on_plateau"), None),
        ("asha", (f"{SCHEDULER}.NAME", "unchange"), None),
        ("asha", (f"{SCHEDULER}.NAME", "multi_steps"), None),
    ],
)
def test_rungs_at_the_peak_are_told(scheduler, pairs, epochs):
    note = note_on_peak(plan(scheduler, *pairs))
    assert (note is None) == (epochs is None)
    assert note is None or note.startswith(f"{epochs}: the learning rate is near its peak there ({pairs[1]})")


@pytest.mark.parametrize(
    ("scheduler", "pairs", "epochs", "rungs"),
    [
        ("asha", ONE_CYCLE, 8, [1, 7]),
        ("asha", ONE_CYCLE, 12, [1, 10]),
        ("{asha: {grace_period: 2}}", ONE_CYCLE, 16, [2, 14]),
        ("{asha: {reduction_factor: 2}}", ONE_CYCLE, 16, [1, 14]),
        ("{hyperband: {}}", ONE_CYCLE, 8, [1, 7]),
        ("asha", (f"{SCHEDULER}.NAME", "cosine"), 16, [1, 12]),
        ("asha", (f"{SCHEDULER}.NAME", "unchange"), 8, [1, 3]),
        ("asha", (f"{SCHEDULER}.NAME", "reduce_on_plateau"), 8, [1, 3]),
        ("asha", ONE_CYCLE, 50, [1, 4, 14]),  # long
        ("asha", ONE_CYCLE, 4, [1]),
        ("{asha: {rungs: [2, 3]}}", ONE_CYCLE, 8, [2, 3]),
        ("{asha: {type: stopping}}", ONE_CYCLE, 8, []),  # as Ray Tune has it
        ("none", ONE_CYCLE, 8, []),
    ],
)
def test_rungs_behind_the_first_stand_where_the_rate_has_fallen(scheduler, pairs, epochs, rungs):
    placed = with_rungs(plan(scheduler, *pairs, epochs=epochs))
    assert [*placed.rungs] == rungs
    assert with_rungs(placed) == placed
    Path("again.yaml").write_text(placed.space_yaml().replace("base: base.yaml\n", ""))
    again = make_plan(read_space("again.yaml"), pairs=["MODEL.SOLVER.TOTAL_EPOCHS", str(epochs), *pairs])
    assert [*again.rungs] == rungs, "space.yaml says it"


def test_a_search_that_is_resumed_keeps_its_rungs():
    before = plan("asha", *ONE_CYCLE, epochs=8)
    now = replace(before, earlier=before.options)
    assert [*with_rungs(now).rungs] == [1, 3], "which an older version has placed"
    other = replace(plan("{asha: {reduction_factor: 2}}", *ONE_CYCLE, epochs=8), earlier=before.options)
    assert [*with_rungs(other).rungs] == [1, 7]


@pytest.mark.parametrize(
    ("rungs", "words"),
    [
        (
            "{asha: {rungs: [3, 1]}}",
            "rungs: found [3, 1], allowed is a list with any number of items, in ascending",
        ),
        ("{asha: {rungs: [0]}}", "rungs: found [0]"),
        ("{asha: {rungs: [2, 2]}}", "rungs [2, 2] has an epoch twice"),
        ("{asha: {rungs: [20]}}", "the first of rungs 20 is more than MODEL.SOLVER.TOTAL_EPOCHS 12"),
        (
            "{asha: {rungs: [2, 6], grace_period: 1}}",
            "grace_period 1 is the epoch of the first rung, which rungs",
        ),
    ],
)
def test_rungs_that_cannot_be(rungs, words):
    with pytest.raises(ConfigError) as error:
        plan(rungs)
    assert words in str(error.value) and "s.yaml" in str(error.value)


def test_rungs_are_drawn_under_the_learning_rate():
    assert draw(plan("asha", *ONE_CYCLE)) == [
        "rungs: trials are compared after epochs [1, 3] of 12",
        "learning rate  ▂▅███▇▆▄▃▂▁▁",
        "rungs          ^ ^",
    ]
    lines = draw(plan("{asha: {grace_period: 100}}", f"{SCHEDULER}.NAME", "cosine", epochs=720))
    assert len(lines[1]) == len("learning rate  ") + 72, "no wider than a terminal"
    assert lines[2].index("^") == len("rungs          ") + 9
    assert draw(plan("none")) == []
