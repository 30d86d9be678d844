"""How far reader and model agree on classes, beyond what chance would give."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
FEWEST_PATIENTS = 8  # below, a bootstrap over patients promises too much
CLUSTERS = 2000  # patients beyond that are joined, which keeps the variance of their sum


@dataclass(frozen=True, eq=False)
class Agreement:
    """Reader against model.

    Attributes:
        table: int [K, K], fields by the model's class (row) and the reader's (column).
        patients: whose fields they are.
        kappa: Cohen's κ in [−1, 1]; ``None`` where only one class occurs, or no field.
        low, high: 95 % interval over patients; ``None`` without κ or with few patients.
    """

    table: NDArray[np.int64]
    patients: int
    kappa: float | None
    low: float | None
    high: float | None

    @property
    def fields(self) -> int:
        """How many were compared."""
        return int(self.table.sum())

    @property
    def observed(self) -> float:
        """Share of fields on which both give the same class; there is at least one field."""
        return int(np.trace(self.table)) / self.fields


def cohen_kappa(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cohen's κ of tables of counts [..., K, K]; NaN where chance alone would agree always.

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20 (1960). Both shares are taken times the square of the total, so that counts
    stay whole numbers: what is exactly 0 or undefined is never missed by a rounding.
    """
    total = tables.sum(axis=(-2, -1))
    agreed = np.trace(tables, axis1=-2, axis2=-1) * total
    chance = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        return (agreed - chance) / (total**2 - chance)


def agreement(tables: NDArray[np.int64]) -> Agreement:
    """κ of all fields with a percentile interval of a bootstrap over patients.

    The large-sample variance of Fleiss, Cohen and Everitt ("Large sample standard errors of
    kappa and weighted kappa", Psychological Bulletin 72, 1969) takes fields to be independent;
    those of one patient are not, so whole patients are drawn again (cluster bootstrap; Davison
    and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). The draws are
    seeded: the same readings give the same interval.

    Args:
        tables: int [patients, K, K], each patient's fields by the model's class and the reader's.
    """
    table, patients = tables.sum(axis=0), len(tables)
    kappa = float(cohen_kappa(table[np.newaxis].astype(float))[0])
    if np.isnan(kappa):
        return Agreement(table, patients, None, None, None)
    if patients < FEWEST_PATIENTS:
        return Agreement(table, patients, kappa, None, None)
    joined = np.add.reduceat(tables, _starts(patients), axis=0)
    rng, count = np.random.default_rng(0), len(joined)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    drawn = (weights @ joined.reshape(count, -1).astype(float)).reshape(-1, *table.shape)
    low, high = np.nanquantile(cohen_kappa(drawn), (0.025, 0.975))
    return Agreement(table, patients, kappa, float(low), float(high))


def _starts(patients: int) -> NDArray[np.int64]:
    """Where each cluster begins: every patient is one, up to ``CLUSTERS``."""
    return np.unique(np.linspace(0, patients, min(patients, CLUSTERS), endpoint=False).astype(int))
