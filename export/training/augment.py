"""Random variations of a training field: geometry, stain, camera.

A variation is a function of (seed, epoch, index) alone, so a resumed run sees what an
uninterrupted one would have seen, whatever thread draws it.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.imaging.preprocess import cover
from export.config import COVERED, INPUT_HEIGHT, INPUT_WIDTH

REACH = 0.3  # of the window's side, from its centre to the cell it was chosen for

# Optical density of haematoxylin, eosin and DAB per RGB channel (Ruifrok and Johnston 2001). The
# stain here is another one; the axes only serve to vary stains separately instead of channels.
STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_TO_STAINS = np.linalg.inv(STAINS)
_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)

# RGB ↔ YIQ (NTSC): a hue turn is a rotation of its last two axes.
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one field in one epoch."""
    return np.random.default_rng((seed, epoch, index))


def fill_corner(canonical: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy whose covered rectangle shows the median colour of the rest.

    Done before any geometry: otherwise a flip would carry the scale bar, or a grey box that
    serving never shows there, to another corner.
    """
    filled = canonical.copy()
    outside = np.ones(canonical.shape[:2], bool)
    outside[COVERED.top : COVERED.bottom, COVERED.left : COVERED.right] = False
    colour = np.median(canonical[outside], axis=0)
    filled[COVERED.top : COVERED.bottom, COVERED.left : COVERED.right] = colour
    return filled


def augment(
    filled: NDArray[np.uint8], rng: np.random.Generator, colour: float = 1.0
) -> NDArray[np.uint8]:
    """One random variation, covered exactly as serving covers.

    Args:
        filled: uint8 [224, 224, 3] from ``fill_corner``.
        rng: from ``generator``.
        colour: how far colours go of what ``_colour`` does, in [0, 1].

    Returns:
        uint8 [224, 224, 3].
    """
    centre = np.array([(INPUT_WIDTH - 1) / 2, (INPUT_HEIGHT - 1) / 2])
    shift = rng.uniform(-0.08, 0.08, 2) * (INPUT_WIDTH, INPUT_HEIGHT)
    matrix = _affine(_linear(rng), centre - shift, INPUT_WIDTH)
    moved = _warp(filled, matrix, INPUT_WIDTH, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    return cover(_degrade(_tint(moved, rng, colour), rng), COVERED)


def augment_cells(
    filled: NDArray[np.uint8],
    cells: NDArray[np.uint8],
    side: int,
    rng: np.random.Generator,
    colour: float = 1.0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One random variation of a window with at least one cell in it, and where its cells are.

    A network that sees cells alone learns as much from a window as from the whole field, in a
    fraction of the time.

    Args:
        filled: uint8 [224, 224, 3] from ``fill_corner``.
        cells: its ``visible_cells``, uint8 [224, 224].
        side: of the window in pixels.
        rng: from ``generator``.
        colour: as for ``augment``.

    Returns:
        uint8 [side, side, 3] and its cells, uint8 [side, side] of 0 and 1.
    """
    linear = _linear(rng)
    rows, columns = np.nonzero(cells)
    centre = np.array([INPUT_WIDTH / 2, INPUT_HEIGHT / 2])
    if len(rows) and side < INPUT_WIDTH:
        chosen = rng.integers(len(rows))
        centre = np.array([columns[chosen], rows[chosen]]) + rng.uniform(-REACH, REACH, 2) * side
        # Not further out than that a tenth of the window lies beside the field.
        reach = 0.4 * side / np.sqrt(abs(np.linalg.det(linear)))
        centre = np.clip(centre, reach, np.maximum(reach, INPUT_WIDTH - reach))
    matrix = _affine(linear, centre, side)
    moved = _warp(filled, matrix, side, cv2.INTER_LINEAR, cv2.BORDER_REFLECT_101)
    seen = _warp(cells, matrix, side, cv2.INTER_NEAREST, cv2.BORDER_CONSTANT)
    return _degrade(_tint(moved, rng, colour), rng), seen


def patch(
    target: NDArray[np.uint8], source: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """``target`` with a random rectangle of ``source``, both uint8 [224, 224, 3] from ``augment``.

    CutMix (Yun et al. 2019) between two fields of one class, so that the label stays true. As
    the two mostly come from different groups, a background no longer belongs to one slide.
    """
    height, width = (rng.uniform(0.3, 0.7, 2) * target.shape[:2]).astype(int)
    top, left = rng.integers(0, np.subtract(target.shape[:2], (height, width)) + 1)
    mixed = target.copy()
    window = np.s_[top : top + height, left : left + width]
    mixed[window] = source[window]
    return mixed


def random_window(
    varied: NDArray[np.uint8], side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A square part of a field, uint8 [side, side, 3]; ``side`` is not above the field's."""
    top, left = rng.integers(0, np.subtract(varied.shape[:2], side) + 1)
    return varied[top : top + side, left : left + side]


def _linear(rng: np.random.Generator) -> NDArray[np.float64]:
    """Flips, rotation by up to 25°, scaling by up to 1.25 and a little stretch, as a 2×2 matrix.

    Larger rotations would turn the squash from 4:3 to square, which never turns in reality.
    """
    angle = np.deg2rad(rng.uniform(-25, 25))
    scale = np.exp(rng.uniform(-0.22, 0.22))
    stretch = np.exp(rng.uniform(-0.08, 0.08))
    flip = rng.choice((-1.0, 1.0), 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.diag(flip * scale * (stretch, 1 / stretch)))


def _affine(
    linear: NDArray[np.float64], centre: NDArray[np.float64], side: int
) -> NDArray[np.float64]:
    """The 2×3 matrix that puts ``centre`` of the field into the middle of a window."""
    return np.column_stack([linear, np.full(2, (side - 1) / 2) - linear @ centre])


def _warp(
    pixels: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    side: int,
    interpolation: int,
    border: int,
) -> NDArray[np.uint8]:
    return cv2.warpAffine(  # type: ignore[return-value]
        pixels, matrix, (side, side), flags=interpolation, borderMode=border
    )


def _tint(rgb: NDArray[np.uint8], rng: np.random.Generator, share: float) -> NDArray[np.uint8]:
    """``_colour``, mixed with the colours as they are."""
    varied = _colour(rgb, rng)
    if share == 1:
        return varied
    return cv2.addWeighted(varied, share, rgb, 1 - share, 0)  # type: ignore[return-value]


def _colour(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Stain jitter in optical density (Tellez et al. 2019), then the camera's colours.

    On purpose wider than one session's colours: background tint and mean colour tell the
    session, and so the class, without a single cell being looked at.
    """
    stains = STAINS.T @ np.diag(rng.uniform(0.8, 1.2, 3)) @ _TO_STAINS.T
    offset = STAINS.T @ rng.uniform(-0.02, 0.02, 3)
    density = cv2.transform(cv2.LUT(rgb, _DENSITY), np.column_stack([stains, offset]))
    light = cv2.exp(-density) * 256 - 1

    hue = np.deg2rad(rng.uniform(-10, 10))
    saturation = 0.0 if rng.random() < 0.03 else rng.uniform(0.75, 1.25)
    turn = np.eye(3)
    turn[1:, 1:] = saturation * np.array([[np.cos(hue), -np.sin(hue)], [np.sin(hue), np.cos(hue)]])
    contrast = rng.uniform(0.85, 1.15)
    gain = np.diag(rng.uniform(0.93, 1.07, 3) * contrast)
    linear = gain @ _FROM_YIQ @ turn @ _TO_YIQ
    offset = np.full(3, 160 * (1 - contrast)) + rng.uniform(-15, 15)
    camera = cv2.transform(light, np.column_stack([linear, offset]))
    return np.clip(np.rint(camera), 0, 255).astype(np.uint8)


def _degrade(rgb: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Often some defocus, now and then noise or JPEG compression."""
    blur, noise, jpeg = rng.random(3)
    if blur < 0.4:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.4, 1.8))  # type: ignore[assignment]
    if noise < 0.1:
        grain = rng.standard_normal(rgb.shape, np.float32) * rng.uniform(2, 6)
        rgb = np.clip(rgb + grain, 0, 255).astype(np.uint8)
    if jpeg < 0.15:
        quality = int(rng.integers(40, 90))
        _, coded = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])
        rgb = cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return rgb
