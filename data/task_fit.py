"""Whether what a config says about tasks and classes fits the data set's."""

from yacs.config import CfgNode

from configs.errors import Problem, Problems
from configs.tree import get_value
from data.image_data import ImageData

TASK_WEIGHTS = ("EVALUATION.TASK_WEIGHTS", "MODEL.SOLVER.LOSS.TASK_WEIGHTS")
CLASS_WEIGHTS = "MODEL.SOLVER.LOSS.CLASS_WEIGHTS"


def check_task_fit(cfg: CfgNode, data: ImageData) -> None:
    """Compares weights and output sizes, where they are given, with tasks and classes.

    Raises:
        ConfigError: with every key that does not fit.
    """
    tasks = f"{len(data.classes)} tasks ({', '.join(data.classes)})"
    problems = Problems(
        Problem(f"found {len(get_value(cfg, key))}, expected one for each of {tasks}", key)
        for key in TASK_WEIGHTS
        if len(get_value(cfg, key)) not in (0, len(data.classes))
    )
    output_dims = cfg.MODEL.HEAD.OUTPUT_DIMS
    if output_dims not in (None, data.class_counts):
        problems.add(
            f"found {output_dims}, but data set {cfg.DATASET.NAME} has {data.class_counts}; leave the key out, it is "
            "derived",
            "MODEL.HEAD.OUTPUT_DIMS",
        )
    class_weights = cfg.MODEL.SOLVER.LOSS.CLASS_WEIGHTS
    if len(class_weights) not in (0, len(data.classes)):
        problems.add(
            f"found {len(class_weights)} lists, expected one for each of {tasks}, [] for a task without weights",
            CLASS_WEIGHTS,
        )
    else:
        problems += [
            Problem(f"{task}: found {len(own)} weights, expected one for each of {len(names)} classes", CLASS_WEIGHTS)
            for own, (task, names) in zip(class_weights, data.classes.items(), strict=False)
            if len(own) not in (0, len(names))
        ]
    problems.check()
