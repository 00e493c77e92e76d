"""What people read while a search runs."""

from search.record.terminal import describe, short_names


def test_keys_are_as_short_as_they_can_be_told_apart():
    keys = ["MODEL.HEAD.NAME", "MODEL.HEAD.DROPOUT", "MODEL.SOLVER.LOSS.EPS", "MODEL.SOLVER.OPTIMIZER.ADAM.EPS"]
    assert list(short_names(keys).values()) == ["HEAD.NAME", "DROPOUT", "LOSS.EPS", "ADAM.EPS"]
    assert short_names(["width", "MODEL.width"]) == {"width": "width", "MODEL.width": "MODEL.width"}
    assert short_names(["A.NAME", "B.A.NAME"]) == {"A.NAME": "A.NAME", "B.A.NAME": "B.A.NAME"}


def test_a_sample_in_a_line():
    assert describe({"MODEL.HEAD.DROPOUT": 0.123456, "MODEL.HEAD.HIDDEN_DIMS": [8]}) == "DROPOUT 0.123, HIDDEN_DIMS [8]"
