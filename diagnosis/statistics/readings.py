"""What readers say of screened fields beside what the model says."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.state import Status, Verdict
from diagnosis.models import Review
from diagnosis.statistics.agreement import Agreement, agreement
from diagnosis.statistics.period import Period
from diagnosis.statistics.proportions import Proportion, proportion
from diagnosis.statistics.volumes import fields_of, one_in, sample

FIELDS = 10_000  # screened fields whose readings are looked at; more are thinned out by specimen


class _Row(NamedTuple):
    """One reading of one field."""

    number: int
    diagnosis: int
    verdict: str
    read: str
    blinded: bool
    given: str | None
    version: int | None
    patient: int
    stain: str
    site: str


@dataclass(frozen=True)
class Readings:
    """Reader and model on the fields of a period.

    Attributes:
        latest: agreement of the latest reading of each field.
        blinded: agreement of the first reading, where it was made before the reader saw the
            model's class; nobody was led by it.
        overrides: share of fields whose latest reading is another class than the model's, by
            dimension (``given``, ``version``, ``stain``, ``site``) and value.
        every: of how many specimens one was looked at; 1 is all of them.
    """

    latest: Agreement
    blinded: Agreement
    overrides: Mapping[str, dict[Hashable, Proportion]]
    every: int


def readings(period: Period) -> Readings:
    """Agreement and override rates of the fields uploaded in ``period``.

    A field that was withdrawn is left out: it is another patient's, or is uploaded again as one.
    The latest reading of a field counts; one that calls the field unusable names no class, and
    the field is left out.
    """
    screened = fields_of(period, Status.SCREENED).filter(specimen__isnull=False)
    every = one_in(screened.count(), FIELDS)
    first: dict[int, _Row] = {}
    last: dict[int, _Row] = {}
    for numbers in sample(screened, every, key="specimen_id"):
        for row in _rows(numbers):  # in the order in which they were made
            first.setdefault(row.diagnosis, row)
            last[row.diagnosis] = row
    latest = [row for row in last.values() if row.verdict != Verdict.UNUSABLE]
    blinded = [row for row in first.values() if row.blinded and row.verdict != Verdict.UNUSABLE]
    return Readings(
        latest=agreement(_tables(latest)),
        blinded=agreement(_tables(blinded)),
        overrides={
            "given": _overrides(latest, lambda row: row.given),
            "version": _overrides(latest, lambda row: row.version),
            "stain": _overrides(latest, lambda row: row.stain),
            "site": _overrides(latest, lambda row: row.site),
        },
        every=every,
    )


def _rows(numbers: list[int]) -> list[_Row]:
    found = Review.objects.filter(
        diagnosis__in=numbers, diagnosis__withdrawal__isnull=True
    ).order_by("pk")
    return [
        _Row(*row)
        for row in found.values_list(
            "pk",
            "diagnosis_id",
            "verdict",
            "label",
            "blinded",
            "diagnosis__predicted_class",
            "diagnosis__model_version",
            "diagnosis__specimen__patient_id",
            "diagnosis__specimen__stain",
            "diagnosis__specimen__site",
        )
    ]


def _tables(rows: list[_Row]) -> np.ndarray:
    """int [patients, K, K]: fields by the model's class and the reader's, in label order."""
    place = {label: number for number, label in enumerate(LABELS)}
    patients = {patient: number for number, patient in enumerate({row.patient for row in rows})}
    tables = np.zeros((len(patients), len(LABELS), len(LABELS)), int)
    for row in rows:
        if row.given is not None and row.given in place:
            tables[patients[row.patient], place[row.given], place[row.read]] += 1
    return tables


def _overrides(
    rows: list[_Row], value_of: Callable[[_Row], Hashable]
) -> dict[Hashable, Proportion]:
    """Override share by the value that ``value_of`` gives each row."""
    counted: dict[Hashable, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in rows:
        of_patient = counted[value_of(row)][row.patient]
        of_patient[0] += row.read != row.given
        of_patient[1] += 1
    return {
        value: proportion(*np.array(list(patients.values())).T)
        for value, patients in counted.items()
    }
