"""Rungs in the course of the learning rate: a note where they stand at its peak, and a picture in text."""

from pathlib import Path

import pytest

from search.plan import SearchPlan, make_plan
from search.rungs_and_rate import draw, note_on_peak
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
        ("asha", (f"{SCHEDULER}.NAME", "reduce_on_plateau"), None),
        ("asha", (f"{SCHEDULER}.NAME", "unchange"), None),
        ("asha", (f"{SCHEDULER}.NAME", "multi_steps"), None),
    ],
)
def test_rungs_at_the_peak_are_told(scheduler, pairs, epochs):
    note = note_on_peak(plan(scheduler, *pairs))
    assert (note is None) == (epochs is None)
    assert note is None or note.startswith(f"{epochs}: the learning rate is near its peak there ({pairs[1]})")


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
