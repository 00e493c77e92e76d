"""Whether what a config says about tasks and classes fits the data set's."""

from yacs.config import CfgNode

from configs.errors import ConfigError
from configs.tree import get_value
from data.image_data import ImageData

TASK_WEIGHTS = ("EVALUATION.TASK_WEIGHTS", "MODEL.SOLVER.LOSS.TASK_WEIGHTS")


def check_task_fit(cfg: CfgNode, data: ImageData) -> None:
    """Compares weights and output sizes, where they are given, with tasks and classes.

    Raises:
        ConfigError: with every key that does not fit.
    """
    tasks = f"{len(data.classes)} tasks ({', '.join(data.classes)})"
    problems = [
        f"{key}: found {len(get_value(cfg, key))}, expected one for each of {tasks}"
        for key in TASK_WEIGHTS
        if len(get_value(cfg, key)) not in (0, len(data.classes))
    ]
    output_dims = cfg.MODEL.HEAD.OUTPUT_DIMS
    if output_dims not in (None, data.class_counts):
        problems.append(
            f"MODEL.HEAD.OUTPUT_DIMS: found {output_dims}, but data set {cfg.DATASET.NAME} has {data.class_counts}; "
            "leave the key out, it is derived"
        )
    class_weights = cfg.MODEL.SOLVER.LOSS.CLASS_WEIGHTS
    if len(class_weights) not in (0, len(data.classes)):
        problems.append(
            f"MODEL.SOLVER.LOSS.CLASS_WEIGHTS: found {len(class_weights)} lists, expected one for each of {tasks}, [] "
            "for a task without weights"
        )
    else:
        problems += [
            f"MODEL.SOLVER.LOSS.CLASS_WEIGHTS: {task}: found {len(own)} weights, expected one for each of {len(names)} "
            "classes"
            for own, (task, names) in zip(class_weights, data.classes.items(), strict=False)
            if len(own) not in (0, len(names))
        ]
    if problems:
        raise ConfigError(problems)
