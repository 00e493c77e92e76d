"""Which epochs of a trial of a population came from which other trial: the values of its setting LINEAGE."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from configs.lineage import LINEAGE


@dataclass(frozen=True)
class Segment:
    """Epochs that a trial has from another.

    Attributes:
        trial: the other's number.
        first: of the epochs.
        last: of the epochs.
        settings: that the other had in them, by key.
    """

    trial: int
    first: int
    last: int
    settings: Mapping[str, Any]

    def to_setting(self) -> dict[str, Any]:
        """Returns it as it stands in the config of a trial."""
        return {"trial": self.trial, "epochs": [self.first, self.last], "settings": dict(self.settings)}


def segments_of(settings: Mapping[str, Any]) -> list[Segment]:
    """Returns the segments of a trial's settings, none where it has taken over nothing."""
    found = settings.get(LINEAGE, ())
    return [Segment(one["trial"], one["epochs"][0], one["epochs"][1], one["settings"]) for one in found]
