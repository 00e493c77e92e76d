"""What people should know of the images that were read, in words."""

from collections.abc import Mapping, Sequence

import numpy as np

from configs.errors import ConfigError, counted, few
from data.image_files import notes_on_reading
from data.raw_data import RawImages
from data.scan import Scan

NAMED = 50  # unreadable images, in an error


def check_readable(scan: Scan, ids: Sequence[str], on_unreadable: str, root: str) -> None:
    """Raises ConfigError if images cannot be read that must be, with all of them.

    Args:
        scan: of all images.
        ids: their names.
        on_unreadable: `stop` or `skip`.
        root: where they are.
    """
    if len(scan.unreadable) == len(ids):
        raise ConfigError(
            f"none of the {counted(len(ids), 'image')} can be read, beginning with "
            f"{scan.unreadable[0]}; look at {root}",
            key="DATASET.PATH_DATA_RAW",
        )
    if scan.unreadable and on_unreadable == "stop":
        problems = list(scan.unreadable.values())
        more = [f"and {len(problems) - NAMED} more"] if len(problems) > NAMED else []
        way = (
            f"{len(problems)} of {counted(len(ids), 'image')} cannot be read; repair them, or leave them out with "
            f"DATASET.ON_UNREADABLE skip. Paths start at DATASET.PATH_DATA_RAW {root}"
        )
        raise ConfigError([*problems[:NAMED], *more, way])


def notes_on_scan(scan: Scan, raw_images: RawImages, background: Sequence[int] | None) -> list[str]:
    """Returns what was found while images were read: transparent ones, blank ones, those that could not be read."""
    ids = [raw_images.ids[position] for position in scan.unreadable]
    notes = notes_on_reading(scan.transparent, background, ids)
    if scan.blank:
        notes.append(
            f"{counted(scan.blank, 'image')} of one colour only: what they show has the colour of DATASET.BACKGROUND; "
            "choose another"
        )
    kept = np.delete(raw_images.labels, list(scan.unreadable), axis=0)
    for task, (name, names) in enumerate(raw_images.classes.items()):
        empty = [names[label] for label in np.setdiff1d(raw_images.labels[:, task], kept[:, task])]
        if empty:
            notes.append(f"{name}: no image can be read of {few(empty)}")
    return notes


def notes_on_duplicates(
    contents: np.ndarray, labels: np.ndarray, sides: tuple[np.ndarray, np.ndarray], names: Mapping[int, str]
) -> list[str]:
    """Returns what people should know about images with the same pixels.

    Args:
        contents: as of a scan.
        labels: int64 of shape (N, tasks).
        sides: indices of the images that are trained and validated on.
        names: of images that have a duplicate, by their indices.
    """
    used = np.concatenate(sides)
    own, counts = np.unique(contents[used], return_counts=True)
    same = np.sort(used[np.isin(contents[used], own[counts > 1])])
    if not len(same):
        return []
    both = np.intersect1d(*(contents[side] for side in sides))
    if len(both):
        crossing = [names[int(side[contents[side] == both[0]][0])] for side in sides]
        on_both = counted(int(np.isin(contents[used], both).sum()), "image")
        where = f"{on_both} with a duplicate on the other side of the split ({' and '.join(crossing)})"
    else:
        where = "duplicates are on one side of the split"
    firsts, numbers = np.unique(contents[same], return_index=True, return_inverse=True)[1:]
    first = same[firsts][numbers]  # of each image, the first of its duplicates
    pair = " and ".join(names[int(index)] for index in same[numbers == numbers[0]][:2])
    notes = [f"{counted(len(same), 'image')} with the same pixels as another ({pair}); {where}"]
    contrary = np.flatnonzero((labels[same] != labels[first]).any(axis=1))
    if len(contrary):
        pair = " and ".join(names[int(index[contrary[0]])] for index in (first, same))
        notes.append(f"{counted(len(contrary), 'duplicate')} with another label ({pair})")
    return notes
