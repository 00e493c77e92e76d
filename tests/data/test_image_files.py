"""Which files of a folder are images, and what they look like when they are read, whatever their format."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.image_files import Decoder, ImageFiles, UnreadableImageError, described, images_in, printable

WHITE, RED = (255, 255, 255), (200, 10, 30)


def read(path: str, decoder: Decoder | None = None) -> np.ndarray:
    return ImageFiles([path], decoder or Decoder())[0]


def outline(mode: str, **options) -> Image.Image:
    """A black square on black that only its transparency shows, as icons have them."""
    image = Image.new("RGBA", (12, 10), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (3, 2, 9, 8))
    return image.convert(mode, **options)


def palette() -> Image.Image:
    image = Image.new("P", (12, 10), 0)
    image.putpalette([*WHITE, 0, 0, 0])
    image.paste(1, (3, 2, 9, 8))
    return image


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("rgba.png", outline("RGBA"), {}),
        ("la.png", outline("LA"), {}),
        ("palette.png", palette(), {"transparency": 0}),
        ("rgba.webp", outline("RGBA"), {"lossless": True, "exact": True}),
        ("rgba.tif", outline("RGBA"), {}),
    ],
)
def test_transparent_images_are_shown_on_the_background(name, image, options):
    image.save(name, **options)
    content = Path(name).read_bytes()
    for background in (WHITE, RED):
        pixels, is_transparent = Decoder(background)(content, name)
        assert is_transparent
        assert (pixels[0, 0] == background).all() and (pixels[5, 5] == 0).all()
    hidden, is_transparent = Decoder(None)(content, name)  # as version 0.1
    assert not is_transparent
    assert np.array_equal(hidden, cv2.imread(name, cv2.IMREAD_COLOR)[:, :, ::-1])


def test_transparency_in_between_is_mixed():
    Image.new("RGBA", (1, 1), (100, 0, 250, 51)).save("a.png")
    assert read("a.png", Decoder(WHITE))[0, 0].tolist() == [224, 204, 254]  # a fifth of it, four fifths of white


def test_an_image_whose_transparency_hides_nothing_is_not_transparent():
    Image.new("RGBA", (4, 4), (*RED, 255)).save("a.png")
    pixels, is_transparent = Decoder(WHITE)(Path("a.png").read_bytes(), "a.png")
    assert not is_transparent and (pixels == RED).all()


def gradient(height: int = 6, width: int = 8) -> np.ndarray:
    return np.stack([np.add.outer(np.arange(height) * 20, np.arange(width) * 10)] * 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a b.bmp", "a.tiff", "deep/er/a.webp", "a.JPG"])
def test_formats_and_names(name):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(gradient())
    image.save(name, **({"lossless": True} if name.endswith("webp") else {}))
    assert np.abs(read(name).astype(int) - gradient()).max() <= (6 if name.endswith("JPG") else 0)
    assert images_in(Path(".")).files == [Path(name)]


def test_sixteen_bits():
    cv2.imwrite("a.png", gradient().astype(np.uint16) * 257)
    assert np.array_equal(read("a.png"), gradient())
    cv2.imwrite("grey.tif", gradient()[:, :, 0].astype(np.uint16) * 257)
    assert np.array_equal(read("grey.tif"), gradient())


def test_sixteen_bits_with_transparency():
    pixels = np.zeros((6, 8, 4), np.uint16)
    pixels[2:4, 2:4, 3] = 65535
    cv2.imwrite("a.png", pixels)
    shown = read("a.png")
    assert (shown[0, 0] == WHITE).all() and (shown[2, 2] == 0).all()


def test_cmyk():
    Image.fromarray(gradient()).convert("CMYK").save("a.jpg", quality=95)
    assert np.abs(read("a.jpg").astype(int) - gradient()).mean() < 6


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_orientations_of_cameras(orientation, suffix, mode):
    if mode == "RGBA" and suffix == "jpg":
        pytest.skip("no transparency in this format")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.repeat(np.repeat(gradient(), 4, 0), 4, 1)).convert(mode)
    if mode == "RGBA":
        image.putpixel((0, 0), (0, 0, 0, 0))
    image.save(f"a.{suffix}", exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    shown = read(f"a.{suffix}")
    turned = {5, 6, 7, 8}
    assert shown.shape == ((32, 24, 3) if orientation in turned else (24, 32, 3))
    brightest = {1: (-1, -1), 2: (-1, 0), 3: (0, 0), 4: (0, -1), 5: (-1, -1), 6: (-1, 0), 7: (0, 0), 8: (0, -1)}
    assert shown[brightest[orientation]][0] > 150


def test_images_larger_than_the_limit_are_refused_before_they_take_memory():
    Image.new("1", (3000, 2000)).save("large.png")
    with pytest.raises(UnreadableImageError, match=r"large.png: has 3000x2000 pixels, more than .*MAX_PIXELS 5000000"):
        read("large.png", Decoder(max_pixels=5_000_000))
    assert read("large.png", Decoder(max_pixels=6_000_000)).shape == (2000, 3000, 3)


def test_a_pipe_is_no_image():
    os.mkfifo("pipe.png")
    with pytest.raises(UnreadableImageError, match=r"pipe.png: is no file"):  # opening it would wait for ever
        read("pipe.png")
    assert images_in(Path(".")).left_out == {"special file": 1}


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_damaged_images(content):
    Path("a.png").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"a.png: cannot be read as an image"):
        read("a.png")


def test_a_transparent_image_that_was_cut_off():
    outline("RGBA").resize((200, 200)).save("a.png")
    Path("a.png").write_bytes(Path("a.png").read_bytes()[:300])
    with pytest.raises(UnreadableImageError, match=r"a.png: cannot be read as an image"):
        read("a.png")


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_hidden_files_are_left_out_and_links_are_followed():
    put("a/1.png", "a/.2.png", "a/.ipynb_checkpoints/1-checkpoint.png", "a/anim.gif", "a/b.gif", "a/note", "else/3.png")
    os.symlink("../else", "a/linked")
    os.symlink("../else/3.png", "a/4.png")
    os.symlink("nowhere.png", "a/5.png")
    os.symlink("..", "a/up")
    found = images_in(Path("a"))
    assert found.files == [Path("a/1.png"), Path("a/4.png"), Path("a/linked/3.png")]
    put("a/deep/6.png")
    os.symlink("..", "a/deep/round")
    found = images_in(Path("a"))
    assert Path("a/deep/6.png") in found.files
    told = described("", found.left_out)
    for part in ("2 gif", "1 hidden folder", "1 hidden file", "1 broken link", "1 other file", "circular link"):
        assert part in told


def test_names_that_are_no_utf_8():
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(gradient()).save("a.png")
    os.rename("a.png", name)
    (found,) = images_in(Path(".")).files
    images = ImageFiles([found], Decoder())
    assert np.array_equal(images[0], gradient()) and len(images.digest()) == 64
    assert printable(name) == r"caf\xe9.png"
    Path(name).write_bytes(b"")
    with pytest.raises(UnreadableImageError, match=r"caf\\xe9.png: cannot be read as an image"):
        images[0]


def grey_png(levels: list[int], depth: int, transparent: int) -> bytes:
    """Returns a PNG with a row of grey levels, one of which is transparent."""
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    bits += "0" * (-len(bits) % 8)
    row = bytes([0]) + int(bits, 2).to_bytes(len(bits) // 8, "big")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(levels), 1, depth, 0, 0, 0, 0)
    key = struct.pack(">H", transparent)
    chunks = ((b"IHDR", header), (b"tRNS", key), (b"IDAT", zlib.compress(row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


@pytest.mark.parametrize(
    ("levels", "depth", "transparent", "expected"),
    [
        ([0, 5000, 20000, 40000], 16, 0, [255, 19, 78, 156]),
        ([0, 100, 200], 8, 100, [0, 255, 200]),
        ([0, 1, 2, 3], 2, 1, [0, 255, 170, 255]),
        ([0, 7, 15], 4, 7, [0, 255, 255]),
        ([0, 1, 0], 1, 0, [255, 255, 255]),
    ],
)
def test_a_grey_level_that_is_transparent(levels, depth, transparent, expected):
    pixels, is_transparent = Decoder(WHITE)(grey_png(levels, depth, transparent), "a.png")
    assert is_transparent and pixels[0, :, 0].tolist() == expected


def test_images_of_floats():
    Image.fromarray(np.zeros((4, 4), np.float32)).save("a.tif")
    with pytest.raises(UnreadableImageError, match=r"a.tif: cannot be read as an image of 8 or 16 bits; remove"):
        read("a.tif")
