"""Draws made-up graphemes: a root of three strokes under a head line, with diacritics around it.

Like Bengali ones they share strokes, vary in hand, slant, size and place, and come in unbalanced classes. Needs no
fonts and no files.
"""

import cv2
import numpy as np

from data.bengali import CLASS_COUNTS, HEIGHT, WIDTH

ROOTS, VOWELS, CONSONANTS = CLASS_COUNTS.values()

_STROKES = 14  # from which roots are made
_ALPHABET_SEED = 137  # the alphabet is the same in every data set; what differs is who writes

# Where a diacritic stands: the box around it as (left, top, right, bottom), with the root in 0..1.
_VOWEL_PLACES = [(-0.5, 0.1, -0.12, 0.9), (1.12, 0.1, 1.5, 0.9), (0.0, -0.45, 0.6, -0.1), (0.0, 1.1, 0.6, 1.45)]
_CONSONANT_PLACES = [(0.75, 1.05, 1.4, 1.45), (0.75, -0.45, 1.4, -0.1), (-0.6, 0.95, -0.1, 1.45)]

Points = np.ndarray  # float of shape (points, 2), x to the right and y down


def draw(root: int, vowel: int, consonant: int, rng: np.random.Generator) -> np.ndarray:
    """Returns an image of a grapheme, uint8 of shape (137, 236), dark ink on light paper.

    Args:
        root: 0 to 167.
        vowel: 0 (none) to 10.
        consonant: 0 (none) to 6.
        rng: of the hand that writes.
    """
    strokes = [_ROOT_STROKES[part].copy() * _PART_SIZE + _PART_PLACES[place] for place, part in enumerate(_ROOTS[root])]
    strokes.append(np.array([[-0.05, 0.0], [0.5, 0.0], [1.05, 0.0]]))  # the head line
    if vowel:
        strokes.append(_place(_VOWEL_STROKES[vowel - 1], _VOWEL_PLACES[vowel % len(_VOWEL_PLACES)]))
    if consonant:
        strokes.append(_place(_CONSONANT_STROKES[consonant - 1], _CONSONANT_PLACES[consonant % len(_CONSONANT_PLACES)]))
    return _ink([stroke + rng.normal(0, 0.025, stroke.shape) for stroke in strokes], rng)


def unbalanced_labels(images: int, rng: np.random.Generator) -> np.ndarray:
    """Returns labels of shape (images, 3) in random order, in which every class occurs and some are common.

    The commonest root is ten times as frequent as the rarest; more than half of the graphemes have no consonant
    diacritic.
    """
    shares = [
        np.geomspace(10, 1, ROOTS),
        np.array([21, 18, 13, 9, 10, 4, 3, 12, 4, 3, 3]),
        np.array([58, 6, 12, 4, 9, 8, 3]),
    ]
    return np.stack([rng.permutation(_spread(images, share)) for share in shares], axis=1)


def _spread(images: int, share: np.ndarray) -> np.ndarray:
    """Returns labels of shape (images,), each once and the rest by the shares."""
    counts = np.floor((images - len(share)) * share / share.sum()).astype(int) + 1
    counts[: images - counts.sum()] += 1
    return np.repeat(np.arange(len(share)), counts)


def _alphabet() -> tuple[list[Points], np.ndarray, list[Points], list[Points]]:
    rng = np.random.default_rng(_ALPHABET_SEED)

    def strokes(count: int) -> list[Points]:
        return [rng.random((rng.integers(3, 6), 2)) for _ in range(count)]

    root_strokes = strokes(_STROKES)
    combinations = np.array([(a, b, c) for a in range(_STROKES) for b in range(_STROKES) for c in range(_STROKES)])
    roots = rng.permutation(combinations)[:ROOTS]
    return root_strokes, roots, strokes(VOWELS - 1), strokes(CONSONANTS - 1)


_ROOT_STROKES, _ROOTS, _VOWEL_STROKES, _CONSONANT_STROKES = _alphabet()
_PART_SIZE = np.array([0.5, 0.9])
_PART_PLACES = np.array([[0.0, 0.05], [0.25, 0.1], [0.5, 0.05]])  # upper left corners; neighbours overlap


def _place(stroke: Points, box: tuple[float, float, float, float]) -> Points:
    left, top, right, bottom = box
    return stroke * (right - left, bottom - top) + (left, top)


def _ink(strokes: list[Points], rng: np.random.Generator) -> np.ndarray:
    size = rng.uniform(0.36, 0.5) * HEIGHT
    angle, slant = rng.normal(0, 0.12), rng.normal(0, 0.15)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.array([[rng.uniform(0.85, 1.5), slant], [0, rng.uniform(0.85, 1.15)]]) * size
    middle = (WIDTH / 2 + rng.normal(0, 22), HEIGHT / 2 + rng.normal(0, 6))

    ink = np.zeros((HEIGHT, WIDTH), np.uint8)
    thickness = int(rng.integers(2, 6))
    for stroke in strokes:
        curve = _smooth((stroke - 0.5) @ linear.T + middle)
        cv2.polylines(ink, [np.round(curve * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, shift=4)
    ink = cv2.GaussianBlur(ink, (3, 3), rng.uniform(0.4, 1.0))
    paper = rng.uniform(225, 252)
    image = paper - ink * ((paper - rng.uniform(5, 70)) / 255) + rng.normal(0, rng.uniform(1, 5), ink.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def _smooth(points: Points, per_segment: int = 8) -> Points:
    """Returns a Catmull-Rom curve through the points."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, per_segment)[:, None]
    curve = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        linear, square = end - before, 2 * before - 5 * start + 4 * end - after
        cube = 3 * start - before - 3 * end + after
        curve.append((2 * start + linear * t + square * t**2 + cube * t**3) / 2)
    return np.concatenate(curve)
