"""Chooses what validation compares with, and measures what it accepts and refuses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.formats.decode import DecodedImage, decode
from diagnosis.core.imaging.contract import LABELS, ModelContract
from diagnosis.core.imaging.preprocess import preprocess, resize
from diagnosis.core.imaging.validate import FIXES, colour_histogram, validate
from export.config import COVERED, FITTED_SOURCES, INPUT_HEIGHT, INPUT_WIDTH
from export.data.dataset import source_files

# Each threshold but the first lies below the 0.2 % quantile of the training fields and above what
# it is to stop; docs/validation.md prints both sides.
THRESHOLDS = {
    "colour_histogram": 0.6,  # given with the method
    "size": 224,  # the canonical size; a smaller file would have to be invented larger
    "aspect": 0.5,  # cameras give 4:3, 3:2, 16:9 or square; receipts and panoramas are longer
    "brightness": 0.7,  # glass darker than grey level 178 of 255
    "overexposure": 0.4,  # this laboratory's own fields clip up to half of theirs
    "focus": 0.45,  # most fields blurred by σ = 2 canonical pixels fall below, few by σ = 1
    "field_content": 0.1,
    "nucleated_cells": 0.005,  # a third of one blast's area in a field of this magnification
    "structure": 0.38,  # blocks of up to 8 pixels, shuffled, fall below
    "straight_edges": 0.2,  # blocks of 4 pixels and more, shuffled, fall below
}
# Fewest with which 99.5 % of the training fields pass (`fewest_templates`); every further one
# can only let more strangers in.
TEMPLATES = 2
MOST_TEMPLATES = 4
TRAIN_SHARE, STRANGER_SHARE = 0.995, 0.01

Change = Callable[[NDArray[np.uint8]], bytes]  # decoded RGB pixels → another image file


@dataclass(frozen=True, eq=False)
class ValidationProfile:
    """What a contract needs for ``validate``.

    Attributes:
        templates: float32 [T, 3, 256], each channel summing to 1.
        thresholds: smallest passing score by check name.
    """

    templates: NDArray[np.float32]
    thresholds: dict[str, float]


@dataclass(frozen=True, eq=False)
class Measured:
    """Scores of N fields that do not depend on which templates are chosen.

    Attributes:
        histograms: float32 [N, 3, 256].
        scores: float64 [N, K], columns as in ``FIXES``; ``scored`` fills in the first.
    """

    histograms: NDArray[np.float32]
    scores: NDArray[np.float64]

    def scored(self, templates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Every score with these templates, float64 [N, K]."""
        scores = self.scores.copy()
        scores[:, 0] = correlations(self.histograms, templates).max(axis=1)
        return scores

    def passed(self, templates: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which checks each field passes with these templates, bool [N, K]."""
        return np.asarray(self.scored(templates) >= [THRESHOLDS[name] for name in FIXES])

    def accepted(self, templates: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which fields pass every check, bool [N]."""
        return np.asarray(self.passed(templates).all(axis=1))


def fit_validation_profile(
    train_files: Sequence[Path], stranger_files: Sequence[Path]
) -> ValidationProfile:
    """Templates chosen among the training fields, and the thresholds.

    Args:
        train_files: image files of the training split, at least ``TEMPLATES`` of them.
        stranger_files: images of other things that the choice may use (``fitted_files``).

    Raises:
        ImageRefusedError: a file cannot be decoded.
        OSError: a file cannot be read.
    """
    histograms = np.stack([_histogram(path) for path in train_files])
    strangers = np.array([_histogram(path) for path in stranger_files]).reshape(-1, 3, 256)
    chosen = choose_templates(
        correlations(histograms, histograms), correlations(histograms, strangers), TEMPLATES
    )
    return ValidationProfile(histograms[chosen], dict(THRESHOLDS))


def fitted_files(data_dir: Path) -> list[Path]:
    """Images of the sources that may choose templates and checks.

    Raises:
        DataError: one of the sources is missing.
    """
    return [path for source in FITTED_SOURCES for path in source_files(data_dir, *source)]


def choose_templates(
    alike: NDArray[np.float32], strange: NDArray[np.float32], count: int
) -> list[int]:
    """Greedy cover: each template is the field with which most fields pass, added to the last.

    The first is the medoid of the acceptance rule. Of those with which equally many pass, the
    one that lets the fewest strangers in is taken, and then the one most alike all fields.

    Args:
        alike: float32 [N, N], correlation of each candidate (row) with each field (column).
        strange: float32 [N, M], of each candidate with each stranger; M may be 0.
        count: how many to choose, at most N.

    Returns:
        Row numbers in order of choice.
    """
    threshold = THRESHOLDS["colour_histogram"]
    chosen: list[int] = []
    for _ in range(count):
        ours = np.maximum(alike, alike[chosen].max(axis=0, initial=-1))
        theirs = np.maximum(strange, strange[chosen].max(axis=0, initial=-1))
        passing, let_in = (ours >= threshold).sum(axis=1), (theirs >= threshold).sum(axis=1)
        passing[chosen] = -1
        chosen.append(int(np.lexsort((ours.mean(axis=1), -let_in, passing))[-1]))
    return chosen


def fewest_templates(
    train_share: Mapping[int, float], stranger_share: Mapping[int, Sequence[float]]
) -> int:
    """The smallest number of templates that accepts enough and lets few strangers in.

    Args:
        train_share: share of training fields whose histogram passes, by number of templates.
        stranger_share: share accepted by all checks of each other source, likewise.

    Returns:
        The number, or the one with the largest ``train_share`` where none is good enough.
    """
    for count in sorted(train_share):
        if train_share[count] >= TRAIN_SHARE and max(stranger_share[count]) <= STRANGER_SHARE:
            return count
    return max(train_share, key=lambda count: train_share[count])


def correlations(
    histograms: NDArray[np.float32], templates: NDArray[np.float32]
) -> NDArray[np.float32]:
    """``validate.histogram_correlation`` in bulk: float32 [N, T] of [N,3,256] and [T,3,256]."""
    ours, theirs = _standardised(histograms), _standardised(templates)
    return ours.reshape(-1, 3 * 256) @ theirs.reshape(-1, 3 * 256).T / np.float32(3)


def measuring_contract(profile: ValidationProfile) -> ModelContract:
    """A contract of which only what validation reads means anything."""
    return ModelContract(
        name="validation",
        version=0,
        architecture="none",
        labels=LABELS,
        height=INPUT_HEIGHT,
        width=INPUT_WIDTH,
        covered=COVERED,
        histogram_templates=profile.templates,
        thresholds=profile.thresholds,
        temperature=1.0,
        suspicious_min=1.0,
        not_suspicious_max=0.0,
        ood_max=0.0,
        training_data_digest="",
        graph_digest="",
        metrics={},
        digest="",
    )


def measure(images: Iterable[DecodedImage], contract: ModelContract) -> Measured:
    """Scores of decoded fields, each through ``preprocess`` and ``validate``."""
    histograms, scores = [], []
    for image in images:
        canonical = preprocess(image.rgb, contract)
        histograms.append(colour_histogram(canonical, contract.covered))
        report = validate(image, canonical, contract)
        scores.append([check.score for check in report.checks])
    return Measured(np.stack(histograms), np.array(scores))


def measure_files(
    paths: Sequence[Path],
    contract: ModelContract,
    change: Change | None = None,
) -> Measured:
    """Scores of image files; ``change`` makes another file of the decoded pixels first."""

    def read(path: Path) -> DecodedImage:
        decoded = decode(path.read_bytes())
        return decode(change(decoded.rgb)) if change else decoded

    return measure((read(path) for path in paths), contract)


def enlarged(width: int, height: int, interpolation: int) -> Change:
    """Makes a JPEG of quality 90 of a field, as a camera of that resolution would send it."""
    return lambda rgb: jpeg(
        np.asarray(cv2.resize(rgb, (width, height), interpolation=interpolation), np.uint8)
    )


def shuffled(block: int, rng: np.random.Generator) -> Change:
    """Makes a PNG of a square field cut into squares of ``block`` pixels, each moved."""

    def change(rgb: NDArray[np.uint8]) -> bytes:
        side = rgb.shape[0] // block
        tiles = rgb.reshape(side, block, side, block, 3).swapaxes(1, 2).reshape(-1, block, block, 3)
        cycle = rng.permutation(len(tiles))
        mixed = np.empty_like(tiles)
        mixed[np.roll(cycle, 1)] = tiles[cycle]  # one cycle through all, so that none stays
        return png(mixed.reshape(side, side, block, block, 3).swapaxes(1, 2).reshape(rgb.shape))

    return change


def jpeg(rgb: NDArray[np.uint8], quality: int = 90) -> bytes:
    """A JPEG file of uint8 [H, W, 3] RGB."""
    return _encoded(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])


def png(rgb: NDArray[np.uint8]) -> bytes:
    """A PNG file of uint8 [H, W, 3] RGB, uncompressed: it is read once, and soon."""
    return _encoded(".png", rgb, [cv2.IMWRITE_PNG_COMPRESSION, 0])


def _encoded(suffix: str, rgb: NDArray[np.uint8], options: list[int]) -> bytes:
    ok, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise RuntimeError(f"OpenCV could not encode {suffix}")
    return data.tobytes()


def _histogram(path: Path) -> NDArray[np.float32]:
    canonical = resize(decode(path.read_bytes()).rgb, INPUT_HEIGHT, INPUT_WIDTH)
    return colour_histogram(canonical, COVERED)


def _standardised(histograms: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each channel less its mean, of length 1, so that products are Pearson correlations."""
    centred = histograms - histograms.mean(axis=2, keepdims=True)
    length = np.linalg.norm(centred, axis=2, keepdims=True)
    return centred / np.where(length > 0, length, 1)
