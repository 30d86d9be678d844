"""Is this a usable blood smear? Colour-histogram template matching, quality and structure.

The colour histogram says whether a picture has the colours of this laboratory's smears. It
knows nothing of where they lie, so the other checks ask what a technician would: is the file
large enough, the light right, the focus right, are there cells, nucleated ones among them, and
do the pixels form cells at all.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.errors import ContractError
from diagnosis.core.formats.decode import DecodedImage
from diagnosis.core.i18n import gettext_noop as _
from diagnosis.core.imaging.contract import ModelContract, Rectangle
from diagnosis.core.imaging.stain import stain_statistics

# Grey levels and pixels of the canonical image; what the scores below are counted in.
CLIPPED = 250  # a pixel with all three channels from here up holds no detail
CELL_DEPTH = 20  # green levels by which a pixel must be darker than the glass to be a cell
PURPLE = 22  # levels by which (red + blue) / 2 exceeds green in a stained nucleus
REACH = 4  # pixels; a red cell is about 18 across

# Every check's name and what a technician can do when it fails, in the order of the report.
FIXES = {
    "colour_histogram": _(
        "Photograph a Giemsa-type stained blood smear with the camera, white "
        "balance and exposure this model was made for."
    ),
    "size": _("Send the field at the camera's own resolution, at least 224 pixels on each side."),
    "aspect": _("Send the whole field as the camera took it, not a strip or a stitched panorama."),
    "brightness": _(
        "Raise the lamp or the exposure until the empty glass is nearly white, and "
        "photograph the field again."
    ),
    "overexposure": _(
        "Lower the lamp or the exposure until the cells show their colour, and "
        "photograph the field again."
    ),
    "focus": _("Bring the cells into focus, clean objective and slide, and photograph again."),
    "field_content": _(
        "Move to a part of the smear where cells lie side by side, and photograph that."
    ),
    "nucleated_cells": _(
        "Choose a field with purple-stained nucleated cells, and check the stain if there are none."
    ),
    "structure": _(
        "Send the camera's own photograph of one field; this picture is not made of cells."
    ),
    "straight_edges": _("Send a single photograph of a field without frame, text, lines or tiles."),
}


@dataclass(frozen=True)
class Check:
    """One named test of an input.

    Attributes:
        name: stable machine-readable name, e.g. ``colour_histogram``.
        score: what was measured; larger is better for every check.
        threshold: smallest passing score.
        fix: one sentence saying what to do when it fails.
    """

    name: str
    score: float
    threshold: float
    fix: str

    @property
    def passed(self) -> bool:
        """Whether the score reaches the threshold."""
        return self.score >= self.threshold


@dataclass(frozen=True)
class ValidationReport:
    """All checks of one input; ``checks[0]`` is the colour histogram's.

    Attributes:
        checks: in the order of ``FIXES``.
        stain: what ``stain_statistics`` measured; it decides nothing.
    """

    checks: tuple[Check, ...]
    stain: Mapping[str, float] = field(default_factory=dict)

    @property
    def accepted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def score(self) -> float:
        """Mean histogram correlation over the RGB channels, best template, in [−1, 1]."""
        return self.checks[0].score

    @property
    def threshold(self) -> float:
        """Smallest histogram correlation that is accepted."""
        return self.checks[0].threshold

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that refused the input."""
        return tuple(check for check in self.checks if not check.passed)


def validate(
    decoded: DecodedImage, canonical: NDArray[np.uint8], contract: ModelContract
) -> ValidationReport:
    """Run every check of one field.

    Args:
        decoded: gives the size of the file.
        canonical: uint8 [H, W, 3] as ``preprocess`` made it of ``decoded``. All
            but the size is measured here: it is the decoded field averaged down to one scale,
            so that a score does not depend on the camera's resolution, and it is what the
            network sees. The covered rectangle counts for nothing.
        contract: gives the covered rectangle, the histogram templates and, by check name, the
            thresholds.

    Returns:
        One finite score per name in ``FIXES``, in that order, for any pixels whatever.

    Raises:
        ContractError: the contract has no threshold for one of the checks.
    """
    missing = FIXES.keys() - contract.thresholds.keys()
    if missing:
        raise ContractError(
            f"version {contract.version} of {contract.name} has no threshold for "
            f"{', '.join(sorted(missing))}; publish it again."
        )
    histogram = colour_histogram(canonical, contract.covered)
    scores = _scores(decoded, canonical, histogram, contract)
    return ValidationReport(
        tuple(
            # NumPy's scalars would make `passed` a type that JSON does not take.
            Check(name, float(scores[name]), contract.thresholds[name], FIXES[name])
            for name in FIXES
        ),
        stain_statistics(histogram),
    )


def colour_histogram(canonical: NDArray[np.uint8], covered: Rectangle) -> NDArray[np.float32]:
    """Histogram of a canonical image's visible part; templates are made by this function too.

    Args:
        canonical: uint8 [H, W, 3].
        covered: left out: a patch of one colour would make all images alike.

    Returns:
        float32 [3, 256], one row a channel (RGB), each summing to 1.
    """
    mask = _visible(canonical.shape[:2], covered)
    counts = [cv2.calcHist([canonical], [c], mask, [256], [0, 256])[:, 0] for c in range(3)]
    return np.stack(counts) / np.float32(max(cv2.countNonZero(mask), 1))


def histogram_correlation(histogram: NDArray[np.float32], templates: NDArray[np.float32]) -> float:
    """Template matching by colour: the best template's correlation, mean over the channels.

    Pearson correlation of the bins (OpenCV ``HISTCMP_CORREL``), after Swain and Ballard,
    "Color indexing", International Journal of Computer Vision 7 (1991).

    Args:
        histogram: float32 [3, 256].
        templates: float32 [T, 3, 256].

    Returns:
        In [−1, 1]; larger is more alike.
    """
    return max(
        float(
            np.mean(
                [
                    _correlation(ours, theirs)
                    for ours, theirs in zip(histogram, template, strict=True)
                ]
            )
        )
        for template in templates
    )


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    # OpenCV calls a perfectly flat histogram identical to everything; it resembles nothing.
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return cv2.compareHist(first, second, cv2.HISTCMP_CORREL)


def _scores(
    decoded: DecodedImage,
    canonical: NDArray[np.uint8],
    histogram: NDArray[np.float32],
    contract: ModelContract,
) -> dict[str, float]:
    """Score of every check by name."""
    covered = contract.covered
    mask = _visible(canonical.shape[:2], covered)
    green = np.cumsum(histogram[1])
    background = int(np.searchsorted(green, 0.9))
    relief = _relief(canonical, mask)
    red_part, green_part, blue_part = cv2.split(canonical)
    # Green is where haemoglobin and nuclear dye absorb most, so it tells cells from glass.
    purple = cv2.subtract(cv2.addWeighted(red_part, 0.5, blue_part, 0.5, 0), green_part)
    brightest = cv2.inRange(canonical, (CLIPPED, CLIPPED, CLIPPED), (255, 255, 255))
    shorter, longer = sorted((decoded.width, decoded.height))
    return {
        "colour_histogram": histogram_correlation(histogram, contract.histogram_templates),
        "size": float(shorter),
        "aspect": shorter / longer,
        "brightness": background / 255,
        "overexposure": 1 - _share(brightest, mask),
        "focus": _focus(relief),
        "field_content": float(green[background - CELL_DEPTH]) if background >= CELL_DEPTH else 0.0,
        "nucleated_cells": _share(purple > PURPLE, mask),
        "structure": _structure(relief),
        "straight_edges": _straight_edges(relief, covered),
    }


@lru_cache(maxsize=8)
def _visible(shape: tuple[int, int], covered: Rectangle) -> NDArray[np.uint8]:
    """Mask [H, W]: 255 where the canonical image shows the field, 0 where it is covered."""
    mask = np.full(shape, 255, np.uint8)
    mask[covered.top : covered.bottom, covered.left : covered.right] = 0
    mask.setflags(write=False)
    return mask


def _share(where: NDArray[Any], mask: NDArray[np.uint8]) -> float:
    """Share of the visible pixels at which ``where`` is set."""
    return np.count_nonzero(where & mask) / max(cv2.countNonZero(mask), 1)


def _relief(canonical: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey levels float32 [H, W] less their mean; 0, which says nothing, where covered."""
    grey = cv2.cvtColor(canonical, cv2.COLOR_RGB2GRAY)
    return np.where(mask, grey - np.float32(cv2.mean(grey, mask)[0]), np.float32(0))


def _ratio(part: float, whole: float) -> float:
    """``part / whole``, and 0 for a field without any contrast."""
    return part / whole if whole > 1e-6 else 0.0


def _focus(relief: NDArray[np.float32]) -> float:
    """Contrast of fine detail relative to that of detail twice as coarse; 0.3 is a blur.

    A ratio of two octaves of one field depends neither on its contrast nor on how many cells
    it holds, unlike the variance of the Laplacian. The octaves are differences of box filters
    of 3, 7 and 15 canonical pixels; a red cell is about 18 wide.
    """
    fine, middle, coarse = (cv2.blur(relief, (side, side)) for side in (3, 7, 15))
    return _ratio(cv2.norm(fine, middle), cv2.norm(middle, coarse))


def _structure(relief: NDArray[np.float32]) -> float:
    """Correlation of each pixel with its neighbour ``REACH`` pixels on, across or down.

    Cells are larger than that, so a field correlates; the same pixels in another order, noise
    and print do not, though their histogram is the same. The lesser of both directions.
    """
    across = float(np.vdot(relief[:, REACH:], relief[:, :-REACH]))
    down = float(np.vdot(relief[REACH:], relief[:-REACH]))
    return _ratio(min(across, down), float(np.vdot(relief, relief)))


def _straight_edges(relief: NDArray[np.float32], covered: Rectangle) -> float:
    """Edges along the median row or column relative to those along the strongest.

    Cells are round and lie anywhere, so every row and column crosses about as many borders. A
    line of print, a frame, or a field cut into tiles and put together otherwise gives one row
    or column far more than its share. The lesser of both directions.
    """
    steps_across = cv2.absdiff(relief[:, 1:], relief[:, :-1])
    steps_down = cv2.absdiff(relief[1:], relief[:-1])
    rows = slice(max(covered.top - 1, 0), covered.bottom)
    columns = slice(max(covered.left - 1, 0), covered.right)
    steps_across[covered.top : covered.bottom, columns] = 0  # the step onto the cover is ours
    steps_down[rows, covered.left : covered.right] = 0
    seen_down = np.full(steps_across.shape[1], steps_across.shape[0], np.float32)
    seen_down[columns] -= covered.bottom - covered.top
    seen_across = np.full(steps_down.shape[0], steps_down.shape[1], np.float32)
    seen_across[rows] -= covered.right - covered.left
    return min(
        _evenness(steps_across.sum(axis=0), seen_down),
        _evenness(steps_down.sum(axis=1), seen_across),
    )


def _evenness(steps: NDArray[np.float32], seen: NDArray[np.float32]) -> float:
    """Median over lines of the mean step, relative to the largest; lines all covered left out."""
    means = steps[seen > 0] / seen[seen > 0]
    return _ratio(float(np.median(means)), float(means.max())) if means.size else 0.0
