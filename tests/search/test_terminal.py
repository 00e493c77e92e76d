"""What people read while a search runs."""

from pathlib import Path

from search.analysis import FoundSearch
from search.folder import SearchFolder
from search.plan import make_plan
from search.record.events import EpochReported, SearchStarted, TrialEnded, TrialStarted
from search.record.history import History, TrialRecord
from search.record.outcomes import State
from search.space.space_file import read_space
from search.views.describe import describe, short_names
from search.views.terminal import Terminal


def test_keys_are_as_short_as_they_can_be_told_apart():
    keys = ["MODEL.HEAD.NAME", "MODEL.HEAD.DROPOUT", "MODEL.SOLVER.LOSS.EPS", "MODEL.SOLVER.OPTIMIZER.ADAM.EPS"]
    assert list(short_names(keys).values()) == ["HEAD.NAME", "DROPOUT", "LOSS.EPS", "ADAM.EPS"]
    assert short_names(["width", "MODEL.width"]) == {"width": "width", "MODEL.width": "MODEL.width"}
    assert short_names(["A.NAME", "B.A.NAME"]) == {"A.NAME": "A.NAME", "B.A.NAME": "B.A.NAME"}


def test_a_sample_in_a_line():
    assert describe({"MODEL.HEAD.DROPOUT": 0.123456, "MODEL.HEAD.HIDDEN_DIMS": [8]}) == "DROPOUT 0.123, HIDDEN_DIMS [8]"


def test_what_a_trial_had_in_an_epoch_that_it_has_from_another():
    lineage = [{"trial": 3, "epochs": [1, 2], "settings": {"LR": 0.5}}, {"trial": 1, "epochs": [3, 4], "settings": {}}]
    record = TrialRecord(7, "id", {"LR": 0.1, "DROPOUT": 0.2}, {"LINEAGE": lineage})
    assert record.params_at(2) == {"LR": 0.5, "DROPOUT": 0.2}
    assert record.params_at(3) == record.params_at(5) == {"LR": 0.1, "DROPOUT": 0.2}


def test_a_trial_is_one_line_with_its_score_at_80_columns():
    keys = [
        "MODEL.SOLVER.OPTIMIZER.BASE_LR",
        "DATASET.AUGMENTATION.ROTATION_PROB",
        "DATASET.AUGMENTATION.GAUSS_NOISE_PROB",
    ]
    space = ", ".join(f"{key}: {{uniform: [0.1, 0.5]}}" for key in keys)
    Path("s.yaml").write_text(f"space: {{{space}}}\n")
    plan = make_plan(read_space("s.yaml"))
    row = {"epoch": 1, "val_score": 0.87654}
    for columns in (80, None):
        history, lines = History(), []
        params = dict.fromkeys(keys, 0.123456)
        found = FoundSearch(plan, history, SearchFolder("out"))
        terminal = Terminal(found, lines.append, lambda columns=columns: columns)
        started = TrialStarted(0, "abc", params, params)
        for event in (SearchStarted(), started, EpochReported(0, row), TrialEnded(0, State.DONE)):
            history.add(event)
            terminal.on_event(event)
        line = next(line for line in lines if "done" in line)
        assert "val_score 0.8765  best so far  " in line
        assert len(line) == 80 and line.endswith("...") if columns else line.endswith("GAUSS_NOISE_PROB 0.123")
