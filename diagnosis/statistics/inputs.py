"""The newest fields of the live version against the fields it was trained on."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Max

from diagnosis.core.drift import (
    FEWEST,
    PER_PATIENT,
    WINDOW,
    Drift,
    Level,
    Reference,
    judge,
    reference_path,
)
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.store import read_live, version_dir
from diagnosis.core.state import Status
from diagnosis.models import STANDING, Diagnosis
from diagnosis.statistics.period import demonstration_specimens

REACH = 2_000  # newest record numbers among which a window is looked for

# Which fields count, by name: all that could be decoded, or those that passed the input checks.
POPULATIONS = {
    "decoded": (Status.SCREENED, Status.REFUSED),
    "accepted": (Status.SCREENED,),
}


@dataclass(frozen=True, eq=False)
class Inputs:
    """A window of fields as it is judged.

    Attributes:
        version: the live model version.
        reference: of that version; ``None`` where none was made, and then nothing is judged.
        fields, patients: in the window; fields without a specimen count as one patient's.
        drifts: every statistic, the most conspicuous first; empty without a reference.
    """

    version: int
    reference: Reference | None
    fields: int
    patients: int
    drifts: list[Drift]

    @property
    def enough(self) -> bool:
        """Whether the window is large enough to be judged."""
        return self.reference is not None and self.fields >= FEWEST

    @property
    def level(self) -> Level:
        """The highest level of any statistic."""
        return max((drift.level for drift in self.drifts), default=Level.NONE)


def inputs(population: str = "decoded") -> Inputs | None:
    """The newest fields that the live version answered, judged; ``None`` if none is live.

    At most ``PER_PATIENT`` fields of a patient count and ``WINDOW`` in all, of the ``REACH``
    newest record numbers: the cost does not grow with what is stored. What was withdrawn does not:
    it is uploaded again where it belongs.

    Args:
        population: a key of ``POPULATIONS``.
    """
    try:
        live = read_live(settings.MODEL_STORE, settings.MODEL_NAME)
        folder = version_dir(settings.MODEL_STORE, settings.MODEL_NAME, live.stable)
        digest = _digest(folder, (folder / "assets.extra/contract.json").stat().st_mtime_ns)
    except (ContractError, OSError):
        return None
    chosen = _window(digest, population)
    fields = [
        _statistics(*row)
        for row in Diagnosis.objects.filter(pk__in=list(chosen))
        .order_by()
        .values_list("validation", "ood_score")
    ]
    reference = _reference(live.stable, digest)
    drifts = judge(reference, fields) if reference else []
    return Inputs(
        version=live.stable,
        reference=reference,
        fields=len(fields),
        patients=len(set(chosen.values())),
        drifts=sorted(drifts, key=_conspicuous, reverse=True),
    )


def _window(digest: str, population: str) -> dict[int, int | None]:
    """Patient of each field of the window, by the field's number."""
    newest = Diagnosis.objects.aggregate(newest=Max("pk"))["newest"] or 0
    rows = (
        Diagnosis.objects.filter(
            STANDING, pk__gt=newest - REACH, model_digest=digest, status__in=POPULATIONS[population]
        )
        .exclude(specimen__in=demonstration_specimens())
        .order_by("-pk")
        .values_list("pk", "specimen__patient_id")
    )
    taken: Counter[int | None] = Counter()
    chosen: dict[int, int | None] = {}
    for pk, patient in rows:
        if len(chosen) == WINDOW:
            break
        if taken[patient] < PER_PATIENT:
            taken[patient] += 1
            chosen[pk] = patient
    return chosen


def _statistics(validation: Mapping[str, Any] | None, ood_score: float | None) -> dict[str, float]:
    """What a record says of its field; records made before the stain was measured say less."""
    document = validation or {}
    found = {check["name"]: float(check["score"]) for check in document.get("checks", [])}
    found |= document.get("stain", {})
    return found if ood_score is None else found | {"ood_score": ood_score}


def _conspicuous(drift: Drift) -> float:
    """Distance beyond the limit, for sorting."""
    return (drift.distance or 0.0) - drift.limits.drift


def _reference(version: int, digest: str) -> Reference | None:
    """The reference of the live version, if it is that very version's."""
    path = reference_path(settings.MODEL_STORE, settings.MODEL_NAME, version)
    try:
        reference = _loaded(path, path.stat().st_mtime_ns)
    except (ContractError, OSError):
        return None
    return reference if reference.contract_digest == digest else None


@lru_cache(maxsize=4)
def _loaded(path: Path, stamp: int) -> Reference:
    """``stamp`` is in the cache's key: a file made anew is read anew."""
    return Reference.load(path)


@lru_cache(maxsize=4)
def _digest(folder: Path, stamp: int) -> str:
    return ModelContract.load(folder).digest
