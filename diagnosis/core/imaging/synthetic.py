"""Draws artificial blood-smear fields: demonstrations, golden vectors, warm-up, screenshots.

They are drawings by rule, made so that no patient's pixel has to be published. They show no
disease, carry no label and train nothing; what a model says about one means nothing. Every
drawing has the word SYNTHETIC burnt into its lower right corner, where the canonical image is
covered, and a page that shows one prints ``CAPTION`` beside it.

Colours follow the Beer–Lambert law: each cell adds an optical density per channel, and light
falls off exponentially with it, so that overlapping cells darken as they do under a microscope.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

CAPTION = "Synthetic image: drawn by software, not a photograph of blood."
MARK = "SYNTHETIC"

# Everything is drawn once at this size and then resized, so that one seed is one field at any
# size, and a square one is squashed like the photographs of the data set.
_HEIGHT, _WIDTH = 768, 1024
_RED_RADIUS = 32.0  # pixels of the drawing; a 7.5 µm red cell under a 100× objective
# The canonical image is covered from row 192 and column 160 of 224; the mark stays inside.
_MARK_TOP_LEFT, _MARK_BOTTOM_RIGHT = (742, 672), (1018, 754)
_PALE, _BLUISH, _LILAC = (0.31, 0.235, 0.115), (0.42, 0.28, 0.09), (0.29, 0.27, 0.115)
_VIOLET, _PURPLE, _MAUVE = (0.82, 1.05, 0.13), (0.66, 0.92, 0.12), (0.42, 0.74, 0.14)


@dataclass(frozen=True)
class _Stain:
    """Optical densities [3] (RGB) of one slide's structures, and its lamp's colour."""

    red_cell: NDArray[np.float32]
    nucleus: NDArray[np.float32]
    cytoplasm: NDArray[np.float32]
    lamp: NDArray[np.float32]


def draw_smear(
    seed: int, height: int = 768, width: int = 1024, *, nucleated: int | None = None
) -> NDArray[np.uint8]:
    """Draw one artificial smear field.

    Args:
        seed: any non-negative integer; one seed gives the same field at every size.
        height, width: of the result in pixels; a 4:3 field is squashed into other shapes.
        nucleated: how many purple nucleated cells to draw, or ``None`` for 3 to 14 by seed.

    Returns:
        uint8 [height, width, 3] RGB, with ``MARK`` burnt into the lower right corner.
        A drawing, not data: it must not be used to train or to measure a model.
    """
    rng = np.random.default_rng(seed)
    stain = _mix_stain(rng)
    grain = _chromatin(rng)
    density = np.zeros((_HEIGHT, _WIDTH, 3), np.float32)
    _add_red_cells(density, stain, rng)
    _add_platelets(density, stain, rng)
    count = int(rng.integers(3, 15))
    _add_nucleated_cells(density, stain, grain, rng, count if nucleated is None else nucleated)
    light = _light(rng)
    light *= stain.lamp
    light *= np.exp(np.negative(density, out=density), out=density)
    field = np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.8, 1.6)), np.float32)
    return _photograph(field, height, width, rng)


def draw_document(height: int = 768, width: int = 1024) -> NDArray[np.uint8]:
    """Draw a printed page, as somebody might upload it by mistake: an image and no smear.

    Returns:
        uint8 [height, width, 3] RGB.
    """
    page = np.full((_HEIGHT, _WIDTH, 3), 252, np.uint8)
    for line in range(18):
        text = f"{line + 1:02d}  {MARK}  REQUEST FORM  {line * 37 % 11:02d}"
        where = (60, 70 + 38 * line)
        cv2.putText(page, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2, cv2.LINE_AA)
    return np.asarray(cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _mix_stain(rng: np.random.Generator) -> _Stain:
    """A slide's colours: somewhere between pale grey-blue, strong blue and lilac."""
    share = rng.dirichlet((2.5, 1.0, 1.0))
    strength = rng.uniform(0.85, 1.1)
    red_cell = strength * share @ np.array([_PALE, _BLUISH, _LILAC])
    nucleus = (
        rng.uniform(0.9, 1.1) * rng.dirichlet((1, 1, 1)) @ np.array([_VIOLET, _PURPLE, _MAUVE])
    )
    cytoplasm = np.array([0.46, 0.4, 0.06]) * rng.uniform(0.8, 1.2)
    # Slightly overexposed, as this camera was set: green clips where the glass is clear.
    lamp = np.array([251.0, 259.0, 253.5]) * rng.uniform(0.994, 1.006, 3)
    return _Stain(
        *(array.astype(np.float32) for array in (red_cell, nucleus, cytoplasm, lamp)),
    )


def _light(rng: np.random.Generator) -> NDArray[np.float64]:
    """Illumination float64 [H, W, 3] around 1: vignetting, yellowish centre, bluish rim."""
    rows, columns = np.ogrid[-1 : 1 : _HEIGHT * 1j, -1 : 1 : _WIDTH * 1j]
    across, down = rng.uniform(-0.35, 0.35, 2)
    radius = (columns.astype(np.float32) - across) ** 2 + (rows.astype(np.float32) - down) ** 2
    radius /= 2
    falloff = rng.uniform(0.7, 1.2) * np.array([0.14, 0.08, 0.02], np.float32)
    yellow = np.float32(rng.uniform(0.02, 0.06))
    light = radius[..., np.newaxis] * falloff
    np.subtract(1, light, out=light)
    radius *= -3
    light[..., 2] -= np.exp(radius, out=radius) * yellow
    return light


def _chromatin(rng: np.random.Generator) -> NDArray[np.float32]:
    """Texture float32 [H, W] of mean 0 and deviation 1: fine grains on coarse clumps."""
    noise = rng.standard_normal((_HEIGHT, _WIDTH), dtype=np.float32)
    mixed = np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.8), np.float32)
    mixed *= 4
    coarse = np.asarray(cv2.GaussianBlur(noise, (0, 0), 6), np.float32)
    coarse *= 12
    mixed += coarse
    mixed /= mixed.std()
    return mixed


def _window(
    centre: tuple[float, float], reach: float
) -> tuple[tuple[slice, slice], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Rows and columns within ``reach`` of ``centre``, and their numbers [h, 1] and [1, w]."""
    x, y = centre
    left, right = np.clip([int(x - reach), int(x + reach) + 1], 0, _WIDTH)
    top, bottom = np.clip([int(y - reach), int(y + reach) + 1], 0, _HEIGHT)
    rows, columns = slice(int(top), int(bottom)), slice(int(left), int(right))
    down, across = np.ogrid[rows, columns]
    return (rows, columns), (down.astype(np.float32), across.astype(np.float32))


def _distance(
    grid: tuple[NDArray[np.float32], NDArray[np.float32]],
    centre: tuple[float, float],
    radius: float,
    rng: np.random.Generator,
    *,
    wobble: float,
    stretch: float,
) -> NDArray[np.float32]:
    """Distance of each pixel of ``grid`` from a cell's centre: 1 on its border.

    An ellipse, stretched up to ``stretch`` at a random angle, whose border waves by ``wobble``.
    """
    down, across = grid[0] - centre[1], grid[1] - centre[0]
    angle = np.arctan2(down, across)
    axis, lobes, phase = rng.uniform(0, np.pi), rng.integers(2, 6), rng.uniform(0, 2 * np.pi)
    ratio = rng.uniform(1, stretch)
    ellipse = np.hypot(np.cos(angle - axis) / ratio, np.sin(angle - axis) * ratio)
    border = radius * (1 + wobble * np.sin(lobes * angle + phase)) / ellipse
    return np.hypot(across, down) / border


def _inside(distance: NDArray[np.float32], softness: float) -> NDArray[np.float32]:
    """Mask in [0, 1]: 1 inside, 0 outside, a border of relative width ``softness`` between."""
    return np.clip((1 - distance) / softness + 0.5, 0, 1)


def _scatter(rng: np.random.Generator, count: int, gap: float) -> list[tuple[float, float]]:
    """At most ``count`` positions (x, y), also just outside the field, ``gap`` pixels apart."""
    candidates = rng.uniform((-30, -30), (_WIDTH + 30, _HEIGHT + 30), (count * 4, 2))
    kept = np.empty((0, 2))
    for candidate in candidates:
        if len(kept) == count:
            break
        if not len(kept) or np.hypot(*(kept - candidate).T).min() >= gap:
            kept = np.vstack([kept, candidate])
    return [(float(x), float(y)) for x, y in kept]


def _add_red_cells(density: NDArray[np.float32], stain: _Stain, rng: np.random.Generator) -> None:
    """Biconcave discs: paler in the middle, most of them touching or overlapping another."""
    radius = _RED_RADIUS * rng.uniform(0.9, 1.1)
    pallor = rng.uniform(0.3, 0.75)
    count = int(rng.integers(125, 175))
    for centre in _scatter(rng, count, gap=1.25 * radius):
        size = radius * rng.uniform(0.88, 1.12)
        window, grid = _window(centre, 1.3 * size)
        distance = _distance(grid, centre, size, rng, wobble=0.03, stretch=1.15)
        hollow = 1 - pallor * rng.uniform(0.5, 1.3) * np.exp(-((distance / 0.5) ** 2))
        disc = _inside(distance, 0.14) * hollow * rng.uniform(0.8, 1.1)
        added = disc[..., np.newaxis] * stain.red_cell
        # Cells that overlap flatten each other, so their densities add only in part.
        below = density[window]
        density[window] = np.maximum(below, added) + 0.5 * np.minimum(below, added)


def _add_platelets(density: NDArray[np.float32], stain: _Stain, rng: np.random.Generator) -> None:
    """A few small granular purple bodies."""
    for centre in _scatter(rng, int(rng.integers(2, 9)), gap=40):
        size = rng.uniform(5, 9)
        window, grid = _window(centre, 2 * size)
        distance = _distance(grid, centre, size, rng, wobble=0.15, stretch=1.3)
        density[window] += (_inside(distance, 0.5) * 0.55)[..., np.newaxis] * stain.nucleus


def _add_nucleated_cells(
    density: NDArray[np.float32],
    stain: _Stain,
    grain: NDArray[np.float32],
    rng: np.random.Generator,
    count: int,
) -> None:
    """Large cells, mostly nucleus, with a thin blue rim of cytoplasm; they hide what is below."""
    for x, y in _scatter(rng, count, gap=95):
        size = _RED_RADIUS * rng.uniform(1.35, 2.0)
        window, grid = _window((x, y), 1.3 * size)
        distance = _distance(grid, (x, y), size, rng, wobble=0.035, stretch=1.12)
        cell = _inside(distance, 0.08)[..., np.newaxis]
        off_x, off_y = rng.uniform(-0.06, 0.06, 2) * size
        middle = (x + float(off_x), y + float(off_y))
        inner = _distance(grid, middle, 0.88 * size, rng, wobble=0.03, stretch=1.08)
        share = _inside(inner, 0.1)[..., np.newaxis]
        texture = 1 + rng.uniform(0.06, 0.13) * grain[window][..., np.newaxis]
        stained = share * stain.nucleus * texture * rng.uniform(0.85, 1.15)
        stained += (1 - share) * stain.cytoplasm
        density[window] = density[window] * (1 - cell) + stained * cell


def _photograph(
    field: NDArray[np.float32], height: int, width: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """What the camera makes of it: clipping, the mark, the size asked for, sensor noise."""
    clipped = np.clip(field, 0, 255)
    _burn_mark(clipped)
    shrinks = height <= _HEIGHT and width <= _WIDTH
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    sized = cv2.resize(clipped, (width, height), interpolation=how)
    noise = rng.standard_normal((height, width, 1), dtype=np.float32)
    return np.clip(np.round(sized + 0.8 * noise), 0, 255).astype(np.uint8)


def _burn_mark(field: NDArray[np.float32]) -> None:
    """Write ``MARK`` black on white into the lower right corner, in place."""
    cv2.rectangle(field, _MARK_TOP_LEFT, _MARK_BOTTOM_RIGHT, (255, 255, 255), cv2.FILLED)
    left, bottom = _MARK_TOP_LEFT[0] + 8, _MARK_BOTTOM_RIGHT[1] - 26
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 1.5
    cv2.putText(field, MARK, (left, bottom), font, scale, (0, 0, 0), 4, cv2.LINE_8)
