"""What a trial tells Ray beside its metrics; worker and driver both know these names."""

from collections.abc import Mapping
from typing import Any

TOTAL_EPOCHS = "total_epochs"  # the trial's own word on where it ends
UNREAD = "unread"  # keys that were sampled and never looked at
FAILURE = "failure"  # why it has failed
FAULT = "fault"  # what kind of failure, see faults.py


def has_finished(result: Mapping[str, Any]) -> bool:
    """Whether a trial's last result is that of its last epoch."""
    return TOTAL_EPOCHS in result and result["epoch"] >= result[TOTAL_EPOCHS]
