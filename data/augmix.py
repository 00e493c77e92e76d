"""AugMix (Hendrycks et al. 2020): an image blended with chains of simple operations on itself."""

from collections.abc import Callable

import cv2
import numpy as np

Fill = tuple[int, ...] | None  # what comes in from outside, by channel; None: the image mirrored

# From uint8 (height, width, channels) and a strength in -1..1.
Operation = Callable[[np.ndarray, float, Fill], np.ndarray]


def augmix(
    image: np.ndarray,
    rng: np.random.Generator,
    width: int,
    depth: int,
    severity: int,
    alpha: float,
    fill: Fill,
) -> np.ndarray:
    """Returns the mix.

    Args:
        image: uint8 of shape (height, width, channels).
        rng: of all choices.
        width: number of chains.
        depth: largest number of operations in a chain.
        severity: 1 to 10, how strong an operation is at most.
        alpha: parameter of the Dirichlet distribution of the chains' weights and of the Beta distribution of the
            image's own.
        fill: what comes in from outside the image, by channel; None for its mirror image.
    """
    weights = rng.dirichlet([alpha] * width)
    own = rng.beta(alpha, alpha)
    mixed = np.zeros(image.shape, np.float32)
    for weight in weights:
        chain = image
        for operation in rng.integers(len(OPERATIONS), size=rng.integers(1, depth + 1)):
            strength = rng.uniform(0.1, severity) / 10 * rng.choice((-1, 1))
            chain = OPERATIONS[operation](chain, strength, fill).reshape(image.shape)
        mixed += weight * chain
    return np.clip(np.round(own * image + (1 - own) * mixed), 0, 255).astype(np.uint8)


def _affine(image: np.ndarray, matrix: list[list[float]], fill: Fill) -> np.ndarray:
    """Maps coordinates around the middle of the image."""
    height, width = image.shape[:2]
    linear = np.array(matrix, np.float64)
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = linear[:, 2] * (width, height) + middle - linear[:, :2] @ middle
    border = cv2.BORDER_REFLECT_101 if fill is None else cv2.BORDER_CONSTANT
    mapping = np.column_stack([linear[:, :2], shift])
    return cv2.warpAffine(image, mapping, (width, height), borderMode=border, borderValue=fill or ())


def _rotate(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    angle = np.radians(30 * strength)
    return _affine(image, [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]], fill)


def _shear_x(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    return _affine(image, [[1, 0.3 * strength, 0], [0, 1, 0]], fill)


def _shear_y(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    return _affine(image, [[1, 0, 0], [0.3 * strength, 1, 0]], fill)


def _translate_x(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    return _affine(image, [[1, 0, strength / 3], [0, 1, 0]], fill)


def _translate_y(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    return _affine(image, [[1, 0, 0], [0, 1, strength / 3]], fill)


def _posterize(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    lost_bits = round(4 * abs(strength))
    return image >> lost_bits << lost_bits


def _solarize(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    return np.where(image > 255 * (1 - abs(strength)), 255 - image, image)


def _equalize(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    return np.stack([cv2.equalizeHist(np.ascontiguousarray(c)) for c in np.moveaxis(image, 2, 0)], axis=2)


def _autocontrast(image: np.ndarray, strength: float, fill: Fill) -> np.ndarray:
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    span = np.maximum(high.astype(np.float32) - low, 1)
    return ((image - low) * (255 / span)).astype(np.uint8)


OPERATIONS: tuple[Operation, ...] = (
    *(_rotate, _shear_x, _shear_y, _translate_x, _translate_y),
    *(_posterize, _solarize, _equalize, _autocontrast),
)
