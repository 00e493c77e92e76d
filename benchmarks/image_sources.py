"""Draws real images that packages ship, one folder a class, for the benchmarks that train on more than the digits.

python benchmarks/image_sources.py icons data/raw/icons

- fonts: characters in families of fonts; the class is the family. Of matplotlib (the extra `plots`).
- letters: capitals in many fonts; the class is the letter. Of matplotlib too.
- icons: icons of different sets; the class is the set. Of QtAwesome (pip install --no-deps qtawesome).

Every image is as the font has it: nothing is random, so that a folder is the same wherever it is made.
"""

import argparse
import importlib.util
import json
import string
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

SIZE = 36  # pixels a side
ICONS_PER_SET = 150

FAMILIES = {
    "sans": "DejaVuSans",
    "serif": "DejaVuSerif",
    "mono": "DejaVuSansMono",
    "times": "STIXGeneral",
    "roman": "cmr10",
    "typewriter": "cmtt10",
}
CHARACTERS = string.ascii_letters + string.digits + "!?&%$#@"
LETTER_FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique", "DejaVuSansMono"),
    *("DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSerif", "DejaVuSerif-Bold"),
    *("DejaVuSerif-Italic", "DejaVuSerif-BoldItalic", "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
    *("STIXGeneralBolIta", "cmr10", "cmb10", "cmss10", "cmtt10", "cmti10", "cmmi10"),
)
ICON_SETS = {
    "codicon": "codicon",
    "elusive": "elusiveicons-webfont",
    "brands": "fontawesome6-brands-webfont",
    "regular": "fontawesome6-regular-webfont",
    "solid": "fontawesome6-solid-webfont",
    "material": "materialdesignicons6-webfont",
    "phosphor": "phosphor",
    "remix": "remixicon",
}

Glyph = tuple[str, str, Path, str, int]  # class, name of the image, font, character, size in pixels


def fonts() -> Iterator[Glyph]:
    """Characters of each family, in two sizes."""
    for name, font in FAMILIES.items():
        for character in CHARACTERS:
            for size in (20, 28):
                yield name, f"{ord(character)}_{size}", _matplotlib_font(font), character, size


def letters() -> Iterator[Glyph]:
    """Capitals of each font, in two sizes."""
    for font in LETTER_FONTS:
        for letter in string.ascii_uppercase:
            for size in (20, 28):
                yield letter, f"{font}_{size}", _matplotlib_font(font), letter, size


def icons() -> Iterator[Glyph]:
    """Icons of each set, evenly out of all that it has."""
    found = importlib.util.find_spec("qtawesome")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("icons come with QtAwesome: pip install --no-deps qtawesome")
    folder = Path(found.submodule_search_locations[0]) / "fonts"
    for name, stem in ICON_SETS.items():
        font = next(folder.glob(f"{stem}-[0-9]*.ttf"))
        charmap = json.loads(next(folder.glob(f"{stem}-charmap-*.json")).read_text())
        codes = sorted({int(code, 16) for code in charmap.values()})
        for place in range(ICONS_PER_SET):
            code = codes[place * len(codes) // ICONS_PER_SET]
            yield name, f"{code:x}", font, chr(code), 30


SOURCES: dict[str, Callable[[], Iterator[Glyph]]] = {"fonts": fonts, "letters": letters, "icons": icons}


def _matplotlib_font(name: str) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{name}.ttf"


def draw(source: str, folder: Path) -> int:
    """Draws the images of a source into a folder, in black on white, and returns how many there are.

    Raises:
        ModuleNotFoundError: the package that ships them is missing.
    """
    count = 0
    for label, name, font, character, size in SOURCES[source]():
        image = Image.new("L", (SIZE, SIZE), 255)
        centre = (SIZE / 2, SIZE / 2)
        ImageDraw.Draw(image).text(centre, character, font=ImageFont.truetype(font, size), fill=0, anchor="mm")
        (folder / label).mkdir(parents=True, exist_ok=True)
        image.save(folder / label / f"{name}.png")
        count += 1
    return count


def main() -> int:
    """Draws a source into a folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("source", choices=SOURCES)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    try:
        count = draw(args.source, args.folder)
    except ModuleNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{count} images in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
