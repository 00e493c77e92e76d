"""The form of images: size, channels, crop, padding."""

import numpy as np

from data.preparation import Preparation, crop_to_content, pad_to_square


def test_size_and_channels():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert Preparation((16, 24), to_rgb=True)(grey).shape == (16, 24, 1)  # grey stays grey
    assert Preparation((4, 4), to_rgb=False)(grey).shape == (4, 4, 1)
    colour = np.zeros((8, 8, 3), dtype=np.uint8)
    colour[:, :, 0] = 255  # red, in RGB
    assert Preparation((8, 8), to_rgb=False)(colour)[0, 0, 0] == 76  # 0.299 * 255
    assert np.array_equal(Preparation((8, 8), to_rgb=True)(colour), colour)


def test_crop_cuts_off_the_background_and_keeps_a_margin():
    image = np.full((100, 200), 250, np.uint8)
    image[30:60, 80:120] = 10
    assert crop_to_content(image).shape == (30 + 2 * 4, 40 + 2 * 8)
    assert crop_to_content(image)[4:-4, 8:-8].max() == 10
    inverted = np.stack([255 - image] * 3, axis=2)
    assert crop_to_content(inverted).shape == (38, 56, 3)


def test_crop_does_not_look_at_lines_on_the_very_edge():
    image = np.full((100, 200), 250, np.uint8)
    image[50, 100] = image[0, :150] = image[:90, 199] = 10
    assert crop_to_content(image).shape == (1 + 8, 1 + 16)


def test_crop_leaves_an_empty_image_alone():
    image = np.full((20, 30), 200, np.uint8)
    assert crop_to_content(image).shape == (20, 30)


def test_padding_puts_the_image_in_the_middle_of_its_background():
    image = np.full((10, 40), 7, np.uint8)
    image[4:6, 18:22] = 200
    square = pad_to_square(image)
    assert square.shape == (40, 40)
    assert np.array_equal(square[15:25], image) and (np.delete(square, range(15, 25), axis=0) == 7).all()
    colour = np.stack([image, image // 2, image * 0], axis=2)
    assert pad_to_square(colour).shape == (40, 40, 3)
    assert pad_to_square(colour)[0, 0].tolist() == [7, 3, 0]


def test_crop_comes_before_padding_and_size():
    image = np.zeros((100, 200), np.uint8)
    image[40:60, 100:160] = 255
    prepared = Preparation((32, 32), to_rgb=False, crop=True, pad=True)(image)[:, :, 0] > 127
    rows, columns = np.flatnonzero(prepared.any(axis=1)), np.flatnonzero(prepared.any(axis=0))
    assert 20 < len(columns) < 32 and abs(len(rows) - len(columns) / 3) <= 1  # the shape is kept
