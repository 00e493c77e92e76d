"""Lineages: which values a training had in its earlier epochs, when population based training changed them since.

A config with a LINEAGE trains the epochs of each segment with the values of that segment, and the rest with its own.
"""

from typing import Any

from configs.legal import Int, Rule
from configs.tree import plain

LINEAGE = "LINEAGE"  # the key

Values = tuple[tuple[str, Any], ...]  # key and value
Segment = tuple[int, int, int, Values]  # trial, first epoch, last epoch, values


class Lineage(Rule):
    """A list of segments, in YAML `{trial: 3, epochs: [1, 4], settings: {KEY: value}}` each; kept as tuples."""

    allowed = "a list of {trial: number, epochs: [first, last], settings: {KEY: value}}, whose epochs follow each other"

    def read(self, value: Any) -> tuple[Segment, ...]:
        if not isinstance(value, list | tuple):
            raise ValueError("not a list")
        segments = tuple(_read_segment(segment) for segment in value)
        expected = 1
        for _, first, last, _ in segments:
            if first != expected or last < first:
                raise ValueError("epochs do not follow each other")
            expected = last + 1
        return segments

    def to_yaml(self, value: Any) -> Any:
        return [
            {"trial": trial, "epochs": [first, last], "settings": {key: plain(one) for key, one in values}}
            for trial, first, last, values in value
        ]


def _read_segment(segment: Any) -> Segment:
    if isinstance(segment, dict):
        if set(segment) != {"trial", "epochs", "settings"} or not isinstance(segment["settings"], dict):
            raise ValueError("not a segment")
        first, last = segment["epochs"]
        segment = (segment["trial"], first, last, tuple(segment["settings"].items()))
    trial, first, last, values = segment
    return Int(0).read(trial), Int(1).read(first), Int(1).read(last), tuple((str(key), one) for key, one in values)
