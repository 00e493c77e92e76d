"""Draws real images that packages ship, one folder a class, for the benchmarks that train on more than the digits.

python benchmarks/image_sources.py icons data/raw/icons

- fonts: characters in families of fonts; the class is the family. Of matplotlib (the extra `plots`).
- letters: capitals in many fonts; the class is the letter. Of matplotlib too.
- icons: icons of different sets; the class is the set. Of QtAwesome (pip install --no-deps qtawesome).
- photographs: grey tiles of photographs, none over another; the class is the photograph. Of scikit-learn and
  scikit-image (pip install --no-deps scikit-image).

Nothing is random, so that a folder is the same wherever it is made.
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
TILE = 48  # pixels of a photograph, a side
TILES_PER_PHOTOGRAPH = 70

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

PHOTOGRAPHS = {
    "skimage": (
        *("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "grass.png", "gravel.png"),
        *("hubble_deep_field.jpg", "retina.jpg", "rocket.jpg"),
    ),
    "sklearn": ("china.jpg", "flower.jpg"),
}
PHOTOGRAPHS_IN = {"skimage": "data", "sklearn": "datasets/images"}

Labelled = tuple[str, str, Image.Image]  # class, name of the image, image


def fonts() -> Iterator[Labelled]:
    """Characters of each family, in two sizes."""
    for name, font in FAMILIES.items():
        for character in CHARACTERS:
            for size in (20, 28):
                yield name, f"{ord(character)}_{size}", _glyph(_matplotlib_font(font), character, size)


def letters() -> Iterator[Labelled]:
    """Capitals of each font, in two sizes."""
    for font in LETTER_FONTS:
        for letter in string.ascii_uppercase:
            for size in (20, 28):
                yield letter, f"{font}_{size}", _glyph(_matplotlib_font(font), letter, size)


def icons() -> Iterator[Labelled]:
    """Icons of each set, evenly out of all that it has."""
    folder = _package("qtawesome", "icons come with QtAwesome: pip install --no-deps qtawesome") / "fonts"
    for name, stem in ICON_SETS.items():
        font = next(folder.glob(f"{stem}-[0-9]*.ttf"))
        charmap = json.loads(next(folder.glob(f"{stem}-charmap-*.json")).read_text())
        codes = sorted({int(code, 16) for code in charmap.values()})
        for place in range(ICONS_PER_SET):
            code = codes[place * len(codes) // ICONS_PER_SET]
            yield name, f"{code:x}", _glyph(font, chr(code), 30)


def photographs() -> Iterator[Labelled]:
    """Tiles of each photograph, evenly out of a grid over it."""
    for package, names in PHOTOGRAPHS.items():
        folder = _package(package, "photographs come with scikit-image: pip install --no-deps scikit-image")
        for name in names:
            image = Image.open(folder / PHOTOGRAPHS_IN[package] / name).convert("L")
            columns = image.width // TILE
            tiles = columns * (image.height // TILE)
            count = min(tiles, TILES_PER_PHOTOGRAPH)
            for tile in (place * tiles // count for place in range(count)):
                left, top = tile % columns * TILE, tile // columns * TILE
                cut = image.crop((left, top, left + TILE, top + TILE))
                yield Path(name).stem, f"{left}_{top}", cut.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


SOURCES: dict[str, Callable[[], Iterator[Labelled]]] = {
    "fonts": fonts,
    "letters": letters,
    "icons": icons,
    "photographs": photographs,
}


def _package(name: str, missing: str) -> Path:
    """Returns the folder of a package, which need not be imported."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(missing)
    return Path(found.submodule_search_locations[0])


def _matplotlib_font(name: str) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts/ttf" / f"{name}.ttf"


def _glyph(font: Path, character: str, size: int) -> Image.Image:
    """Draws a character, of a size in pixels, in black on white."""
    image = Image.new("L", (SIZE, SIZE), 255)
    centre = (SIZE / 2, SIZE / 2)
    ImageDraw.Draw(image).text(centre, character, font=ImageFont.truetype(font, size), fill=0, anchor="mm")
    return image


def draw(source: str, folder: Path) -> int:
    """Writes the images of a source into a folder, and returns how many there are.

    Raises:
        ModuleNotFoundError: the package that ships them is missing.
    """
    count = 0
    for label, name, image in SOURCES[source]():
        (folder / label).mkdir(parents=True, exist_ok=True)
        image.save(folder / label / f"{name}.png", icc_profile=None)  # of the colours that a photograph had
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
