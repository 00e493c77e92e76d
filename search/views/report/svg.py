"""Drawing charts as SVG: scales, axes and marks, each mark with the number of its trial."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

# Left, top, right and bottom of the place where marks are.
MARGINS = (64, 14, 16, 44)


@dataclass(frozen=True)
class Scale:
    """Numbers on a line of pixels.

    Attributes:
        low: the number at `start`.
        high: the number at `end`.
        start: pixels.
        end: pixels.
        is_log: whether equal factors are equal lengths.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float, is_log: bool = False) -> "Scale":
        """Returns a scale that has room for values, and a little more."""
        low, high = min(values, default=0.0), max(values, default=1.0)
        if is_log and low > 0:
            return cls(low / 1.1, max(high, low * 1.01) * 1.1, start, end, True)
        margin = (high - low) * 0.04 or abs(high) * 0.04 or 0.5
        return cls(low - margin, high + margin, start, end)

    def at(self, value: float) -> float:
        """Returns the pixel of a number."""
        low, high, value = (math.log(one) if self.is_log else one for one in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Returns round numbers along it."""
        if self.is_log:
            exponents = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            decades = [factor * 10.0**exponent for exponent in exponents for factor in (1, 2, 5)]
            inside = [one for one in decades if self.low <= one <= self.high]
            powers = [one for one in inside if f"{one:e}"[0] == "1"]
            return powers if len(powers) > 2 else inside[:: max(1, len(inside) // most)]
        raw = (self.high - self.low) / most
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(one * power for one in (1, 2, 5, 10) if one * power >= raw)
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


@dataclass(frozen=True)
class Bands:
    """Categories side by side on a line of pixels."""

    values: Sequence[str]
    start: float
    end: float

    @property
    def width(self) -> float:
        """Of one, in pixels."""
        return (self.end - self.start) / max(1, len(self.values))

    def at(self, value: str) -> float:
        """Returns the pixel in the middle of a category."""
        return self.start + (self.values.index(value) + 0.5) * self.width


@dataclass
class Drawing:
    """An SVG that is being drawn.

    Attributes:
        width: in pixels.
        height: in pixels.
        parts: its elements so far.
    """

    width: int = 720
    height: int = 320
    parts: list[str] = field(default_factory=list)

    @property
    def x(self) -> tuple[float, float]:
        """Where the place of the marks begins and ends from left to right."""
        return MARGINS[0], self.width - MARGINS[2]

    @property
    def y(self) -> tuple[float, float]:
        """Where the place of the marks begins and ends from below to above."""
        return self.height - MARGINS[3], MARGINS[1]

    def add(self, name: str, css: str = "", trial: int | None = None, text: str = "", **attributes: Any) -> None:
        """Adds an element.

        Args:
            name: of the element.
            css: its classes.
            trial: the number of the trial that it shows.
            text: inside it.
            attributes: by name, with _ for -.
        """
        given = {"class": css or None, "data-t": trial, **attributes}
        words = "".join(
            f' {key.replace("_", "-")}="{_number(value) if isinstance(value, float) else escape(str(value))}"'
            for key, value in given.items()
            if value is not None
        )
        self.parts.append(f"<{name}{words}>{escape(text)}</{name}>" if text else f"<{name}{words}/>")

    def line(self, points: Sequence[tuple[float, float]], css: str, trial: int | None = None) -> None:
        """Adds a line through points, given in pixels."""
        self.add("polyline", css, trial, points=" ".join(f"{_number(x)},{_number(y)}" for x, y in points))

    def stairs(self, points: Sequence[tuple[float, float]], css: str) -> None:
        """Adds a line that keeps its height from each point to the next, given in pixels."""
        corners = [(after[0], before[1]) for before, after in pairwise(points)]
        self.line([*points[:1], *(one for pair in zip(corners, points[1:], strict=True) for one in pair)], css)

    def rule(self, x1: float, y1: float, x2: float, y2: float, css: str, trial: int | None = None) -> None:
        """Adds a straight line from one pixel to another."""
        self.add("line", css, trial, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2))

    def box(self, x: float, y: float, width: float, height: float, css: str, trial: int | None = None) -> None:
        """Adds a filled rectangle."""
        self.add("rect", css, trial, x=float(x), y=float(y), width=float(max(width, 0.0)), height=float(height))

    def dot(self, x: float, y: float, css: str, trial: int | None = None, radius: float = 4.0) -> None:
        """Adds a dot."""
        self.add("circle", css, trial, cx=x, cy=y, r=radius)

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "start", **more: Any) -> None:
        """Adds words."""
        self.add("text", css, None, text, x=float(x), y=float(y), text_anchor=anchor, **more)

    def axis_x(self, scale: "Scale | Bands", title: str) -> None:
        """Adds the axis below the marks."""
        below = self.y[0]
        self.rule(self.x[0], below, self.x[1], below, "axis")
        for place, label in _labels(scale):
            self.rule(place, below, place, below + 4, "axis")
            self.text(place, below + 17, label, "tick", "middle")
        self.text((self.x[0] + self.x[1]) / 2, self.height - 6, title, "title", "middle")

    def axis_y(self, scale: "Scale | Bands", title: str) -> None:
        """Adds the axis at the left, and faint lines across."""
        for place, label in _labels(scale):
            self.rule(self.x[0], place, self.x[1], place, "grid")
            self.text(self.x[0] - 7, place + 4, label, "tick", "end")
        middle = (self.y[0] + self.y[1]) / 2
        self.text(14, middle, title, "title", "middle", transform=f"rotate(-90 14 {_number(middle)})")

    def to_svg(self, name: str, title: str, style: str = "") -> str:
        """Returns the SVG.

        Args:
            name: its id in a page.
            title: what it shows, for those who cannot see it.
            style: CSS, for an SVG that stands alone.
        """
        css = f"<style>{style}</style>" if style else ""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" id="{name}" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>{css}'
            f"{''.join(self.parts)}</svg>"
        )


def _labels(scale: "Scale | Bands") -> list[tuple[float, str]]:
    if isinstance(scale, Bands):
        return [(scale.at(value), value if len(value) <= 18 else f"{value[:17]}…") for value in scale.values]
    return [(scale.at(value), shown_number(value)) for value in scale.ticks()]


def shown_number(value: Any) -> str:
    """Returns a number as an axis shows it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else json.dumps(value)
    return f"{value:.4g}"


def _number(value: float) -> str:
    """Returns a pixel with one digit behind the point: a page of 1,000 trials has 100,000 of them."""
    return f"{value:.1f}".removesuffix(".0")
