"""Proportions of fields with intervals that know that fields of one patient are alike."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # 97.5 % quantile of the normal distribution


@dataclass(frozen=True)
class Proportion:
    """A share of fields.

    Attributes:
        hits, fields: the share is ``hits / fields``; ``fields`` is at least 1.
        patients: whose fields they are.
        low, high: 95 % interval.
    """

    hits: int
    fields: int
    patients: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.hits / self.fields


def proportion(hits: NDArray[np.int64], fields: NDArray[np.int64]) -> Proportion:
    """A share with its interval.

    Wilson's interval for the effective number of fields: the number over the design effect, by
    which clustering inflates the variance (Kish, "Survey Sampling", 1965; the combination after
    Franco et al., Journal of Survey Statistics and Methodology 7, 2019). Where all fields or
    none are hits the design effect cannot be seen, and each patient counts as one field.

    Args:
        hits, fields: int [patients], of each patient; ``fields`` at least 1 each.
    """
    total, count, patients = int(fields.sum()), int(hits.sum()), len(fields)
    share = count / total
    effective = float(patients)
    if 0 < count < total and patients > 1:
        spread = float(((hits - share * fields) ** 2).sum()) * patients / (patients - 1)
        effective = total / max(1.0, spread / (share * (1 - share) * total))
    low, high = wilson(share, effective)
    return Proportion(count, total, patients, low, high)


def wilson(share: float, count: float) -> tuple[float, float]:
    """95 % score interval of a proportion of ``count`` independent cases.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
    Journal of the American Statistical Association 22 (1927).
    """
    centre = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * sqrt(share * (1 - share) / count + (Z / (2 * count)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)
