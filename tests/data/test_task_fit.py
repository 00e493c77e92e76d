"""What a config says about tasks and classes, against the data set's."""

import numpy as np
import pytest

from configs.errors import ConfigError
from configs.loader import load_cfg
from data.image_data import ImageData
from data.task_fit import check_task_fit

DATA = ImageData(
    images=np.zeros((4, 2, 2), np.uint8),
    labels=np.zeros((4, 2), np.int64),
    classes={"animal": ("cat", "dog", "eel"), "place": ("in", "out")},
    train_indices=np.arange(3),
    val_indices=np.array([3]),
)
LOSS = "MODEL.SOLVER.LOSS"


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([f"{LOSS}.TASK_WEIGHTS", "[1, 2, 3]"], r"TASK_WEIGHTS: found 3, expected one for each of 2 tasks \(animal, p"),
        (["EVALUATION.TASK_WEIGHTS", "[1]"], r"EVALUATION.TASK_WEIGHTS: found 1, expected one for each of 2 tasks"),
        ([f"{LOSS}.CLASS_WEIGHTS", "[[1, 2, 3]]"], r"CLASS_WEIGHTS: found 1 lists, expected one for each of 2 tasks"),
        ([f"{LOSS}.CLASS_WEIGHTS", "[[1, 2], []]"], r"CLASS_WEIGHTS: animal: found 2 weights, expected .* 3 classes"),
        (["MODEL.HEAD.OUTPUT_DIMS", "[5]"], r"OUTPUT_DIMS: found \(5,\), but data set digits has \(3, 2\); leave the"),
    ],
)
def test_misfits(pairs, message):
    with pytest.raises(ConfigError, match=message):
        check_task_fit(load_cfg(None, pairs), DATA)


def test_what_fits_passes():
    pairs = [f"{LOSS}.TASK_WEIGHTS", "[1, 2]", f"{LOSS}.CLASS_WEIGHTS", "[[1, 2, 3], []]", "MODEL.HEAD.OUTPUT_DIMS"]
    check_task_fit(load_cfg(None, [*pairs, "[3, 2]"]), DATA)


def test_all_misfits_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        check_task_fit(load_cfg(None, ["EVALUATION.TASK_WEIGHTS", "[1]", "MODEL.HEAD.OUTPUT_DIMS", "[5]"]), DATA)
    assert len(caught.value.problems) == 2
