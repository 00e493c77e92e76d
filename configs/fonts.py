"""Fonts of pictures: names of classes may be in any script."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


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
