"""Reads each image of a data set once, and remembers what was found on the way."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from data.image_files import ImageFiles, UnreadableImageError
from data.raw_data import RawImages

OnImage = Callable[[int, int], None]  # gets the number of images done, and of all


@dataclass
class Scan:
    """What was found while images were read.

    Attributes:
        contents: int64 of shape (N,): the first image with the same pixels, which may be the image itself.
        transparent: how many images are transparent in places.
        blank: how many of these are of one colour, since what they show has that of the background.
        unreadable: what is wrong with images that cannot be read, by position.
    """

    contents: np.ndarray
    transparent: int = 0
    blank: int = 0
    unreadable: dict[int, str] = field(default_factory=dict)
    _first: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def of(cls, count: int) -> "Scan":
        """An empty scan of so many images."""
        return cls(np.arange(count, dtype=np.int64))

    def read(self, raw_images: RawImages, on_image: OnImage) -> Iterator[tuple[int, np.ndarray | None]]:
        """Gives each image with its position, None for one that cannot be read or is to be left out.

        Args:
            raw_images: all of them.
            on_image: called as images are done.
        """
        images = raw_images.images
        given = self._decoded(images) if isinstance(images, ImageFiles) else images()
        for done, (position, image) in enumerate(given):
            if image is not None:
                self._note_content(position, image)
            yield position, image
            on_image(done + 1, len(raw_images.ids))

    def _decoded(self, images: ImageFiles) -> Iterator[tuple[int, np.ndarray | None]]:
        for position in range(len(images)):
            try:
                image, is_transparent = images.decode(position)
            except UnreadableImageError as error:
                self.unreadable[position] = str(error)
                yield position, None
                continue
            self.transparent += is_transparent
            self.blank += is_transparent and bool((image == image[0, 0]).all())
            yield position, image

    def _note_content(self, position: int, image: np.ndarray) -> None:
        digest = hashlib.sha256(str(image.shape).encode())
        digest.update(np.ascontiguousarray(image).data)
        self.contents[position] = self._first.setdefault(digest.digest(), position)


def duplicates(contents: np.ndarray) -> np.ndarray:
    """Returns the positions of images with the same pixels as an earlier one.

    Args:
        contents: as `Scan.contents`.
    """
    return np.flatnonzero(contents != np.arange(len(contents)))


def merged(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """Returns groups in which all are together that are together in either; None stands for groups of one image each.

    Args:
        one: int64 of shape (N,), numbers of groups.
        other: of that shape.
    """
    if one is None or other is None:
        return one if other is None else other
    from scipy.sparse import coo_matrix  # here: most data sets do not need it
    from scipy.sparse.csgraph import connected_components

    first, second = (np.unique(groups, return_inverse=True)[1] for groups in (one, other))
    second = second + first.max() + 1
    nodes = int(second.max()) + 1
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(nodes, nodes))
    return np.asarray(connected_components(links, directed=False)[1][first], np.int64)
