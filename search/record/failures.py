"""Failures that are alike."""

import re

from search.record.history import TrialRecord


def kind_of_failure(record: TrialRecord) -> str:
    """Returns a trial's reason without what differs from trial to trial: paths, numbers and their units."""
    reason = record.reason.removesuffix(f" (on {record.node})")
    return re.sub(r"[0-9.]+( [KMGT]iB)?", "0", re.sub(r"\S*/\S*", "path", reason))
