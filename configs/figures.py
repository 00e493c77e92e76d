"""Pictures by matplotlib, which may be missing: how they are made and written, and fonts for any script."""

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from configs.files import write_atomically

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells where it keeps its fonts if the home is read-only

NO_MATPLOTLIB = "matplotlib is not installed (pip install 'yacstune[plots]')"


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Any:
    """Returns an empty figure, made without pyplot, which would keep state and look for a display.

    Args:
        width: in inches.
        height: in inches.
        layout: None for many axes, for which it takes long.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def save_figure(figure: Any, path: str | Path) -> None:
    """Writes a figure as a PNG, complete or absent."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    write_atomically(path, picture.getvalue())


@contextmanager
def drawable(texts: Iterable[str]) -> Iterator[Callable[[str], str]]:
    r"""Lets matplotlib draw texts in any script in the `with` block, in which the figure is made and saved.

    Characters that its own font lacks come from a font of the machine that has them, and are written as in `\u4e2d`
    where there is none.

    Args:
        texts: all that will be drawn.

    Yields:
        What gives a text as it is to be drawn: a dollar sign begins no formula.
    """
    from matplotlib import rc_context, rcParams
    from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

    needed = {ord(character) for text in texts for character in text if not character.isspace()}
    missing = needed - get_font(findfont(FontProperties())).get_charmap().keys()
    families: list[str] = []
    for entry in fontManager.ttflist if missing else ():
        if entry.name.startswith("Last Resort"):  # matplotlib's own, with the same box for each character of a script
            continue
        try:
            has = missing & get_font(entry.fname).get_charmap().keys()
        except (OSError, RuntimeError):  # a font that is no longer there, or damaged
            continue
        if has:
            families.append(entry.name)
            missing -= has

    def shown(text: str) -> str:
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))  # tabs are in no font
        return "".join(f"\\u{ord(one):04x}" if ord(one) in missing else one for one in text).replace("$", r"\$")

    with rc_context({"font.family": [*rcParams["font.family"], *families]}):
        yield shown
