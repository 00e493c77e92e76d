"""The registries of losses, optimizers and schedules."""

from configs.registry import Registry

# Builders take the MODEL.SOLVER.LOSS node and return a callable that maps logits (batch, classes) and labels (batch,)
# to one loss an image, of shape (batch,).
LOSS_REGISTRY = Registry("loss", "MODEL.SOLVER.LOSS.NAME")

# Builders take the MODEL.SOLVER.OPTIMIZER node and the parameters, and return a torch optimizer.
OPTIMIZER_REGISTRY = Registry("optimizer", "MODEL.SOLVER.OPTIMIZER.NAME")

# Builders take the MODEL.SOLVER.SCHEDULER node, the optimizer, the number of epochs and the updates an epoch, and
# return a Schedule.
SCHEDULE_REGISTRY = Registry("schedule", "MODEL.SOLVER.SCHEDULER.NAME")
