"""What readers say of screened fields beside what the model says."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from django.db.models import Count, Exists, F, OuterRef, QuerySet

from diagnosis.imaging.contract import LABELS
from diagnosis.models import Diagnosis, Review
from diagnosis.state import Status, Verdict
from diagnosis.statistics.agreement import Agreement, agreement
from diagnosis.statistics.period import Period
from diagnosis.statistics.proportions import Proportion, proportion
from diagnosis.statistics.volumes import thinned

FIELDS = 50_000  # screened fields whose readings are looked at; more are thinned out by specimen


@dataclass(frozen=True)
class _Row:
    """``fields`` fields that are alike in everything else."""

    patient: int
    given: str
    read: str
    version: int
    stain: str
    site: str
    fields: int


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

    The latest reading of a field counts; one that calls the field unusable names no class, and
    the field is left out.
    """
    screened = Diagnosis.objects.filter(
        created_at__gte=period.since,
        created_at__lt=period.edges[-1],
        status=Status.SCREENED,
        specimen__isnull=False,
    )
    count = screened.count()
    reviews = thinned(
        Review.objects.filter(
            diagnosis__created_at__gte=period.since,
            diagnosis__created_at__lt=period.edges[-1],
            diagnosis__status=Status.SCREENED,
        ),
        count,
        FIELDS,
        key="diagnosis__specimen_id",
    ).exclude(verdict=Verdict.UNUSABLE)
    others = Review.objects.filter(diagnosis=OuterRef("diagnosis"))
    latest = _rows(reviews.filter(~Exists(others.filter(pk__gt=OuterRef("pk")))))
    blinded = _rows(reviews.filter(~Exists(others.filter(pk__lt=OuterRef("pk"))), blinded=True))
    return Readings(
        latest=agreement(_tables(latest)),
        blinded=agreement(_tables(blinded)),
        overrides={
            "given": _overrides(latest, lambda row: row.given),
            "version": _overrides(latest, lambda row: row.version),
            "stain": _overrides(latest, lambda row: row.stain),
            "site": _overrides(latest, lambda row: row.site),
        },
        every=max(1, -(-count // FIELDS)),
    )


def _rows(reviews: QuerySet) -> list[_Row]:
    counted = (
        reviews.order_by()
        .values(
            patient=F("diagnosis__specimen__patient_id"),
            given=F("diagnosis__predicted_class"),
            read=F("label"),
            version=F("diagnosis__model_version"),
            stain=F("diagnosis__specimen__stain"),
            site=F("diagnosis__specimen__site"),
        )
        .annotate(fields=Count("pk"))
    )
    return [_Row(**row) for row in counted]


def _tables(rows: list[_Row]) -> np.ndarray:
    """int [patients, K, K]: fields by the model's class and the reader's, in label order."""
    place = {label: number for number, label in enumerate(LABELS)}
    patients = {patient: number for number, patient in enumerate({row.patient for row in rows})}
    tables = np.zeros((len(patients), len(LABELS), len(LABELS)), int)
    for row in rows:
        if row.given in place:
            tables[patients[row.patient], place[row.given], place[row.read]] += row.fields
    return tables


def _overrides(
    rows: list[_Row], value_of: Callable[[_Row], Hashable]
) -> dict[Hashable, Proportion]:
    """Override share by the value that ``value_of`` gives each row."""
    counted: dict[Hashable, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for row in rows:
        of_patient = counted[value_of(row)][row.patient]
        of_patient[0] += row.fields * (row.read != row.given)
        of_patient[1] += row.fields
    return {
        value: proportion(*np.array(list(patients.values())).T)
        for value, patients in counted.items()
    }
