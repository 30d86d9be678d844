"""Is this a usable blood smear? Colour-histogram template matching, quality and structure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from diagnosis.imaging.contract import ModelContract
from diagnosis.imaging.decode import DecodedImage


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
    """All checks of one input; ``checks[0]`` is the colour histogram's."""

    checks: tuple[Check, ...]

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
    """Run every check (to be completed: see the validation work)."""
    raise NotImplementedError
