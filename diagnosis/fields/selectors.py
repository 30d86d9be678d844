"""Everything that reads diagnoses for a page or an answer."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from diagnosis.cases.blinding import Reader, kept_from
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.store import version_dir
from diagnosis.core.state import Status
from diagnosis.fields.live_model import stable_predictor
from diagnosis.models import FIELD_KINDS, STANDING, Diagnosis
from patients.models import Patient, Specimen
from webapp.keyset import first_of

# A search of few letters must not sort the fields of half the laboratory.
SPECIMENS_SEARCHED = 200

SILENT_S = 15.0  # in which a model that is there answers something: a call and a look of the worker
LATEST_ANSWERS = 100  # among which the last one is: fields are screened nearly as they come


def diagnosis_list() -> QuerySet[Diagnosis]:
    """All diagnoses with specimen and patient, and that they were withdrawn, newest first."""
    return Diagnosis.objects.select_related("specimen__patient", "withdrawal__author")


def diagnoses_of_patient(patient: Patient) -> QuerySet[Diagnosis]:
    """The diagnoses in one patient's record, newest first."""
    return diagnosis_list().filter(specimen__patient=patient)


def diagnoses_of_specimen(specimen: Specimen) -> QuerySet[Diagnosis]:
    """The fields of one specimen, newest first."""
    return diagnosis_list().filter(specimen=specimen)


def diagnoses_unassigned() -> QuerySet[Diagnosis]:
    """Fields that wait for a specimen, newest first."""
    return diagnosis_list().filter(STANDING, specimen=None)


def kinds_offered() -> dict[str, Q]:
    """What fields can be filtered by: where the first read is blinded, not by the answer."""
    blinded = settings.BLINDED_FIRST_READ
    names = ("rejected", "waiting", "failed") if blinded else tuple(FIELD_KINDS)
    kinds = {name: FIELD_KINDS[name] & STANDING for name in names}
    return {**kinds, "withdrawn": ~STANDING}


def diagnoses_held(specimen: Specimen | None, upload_sha256s: Iterable[str]) -> list[Diagnosis]:
    """The diagnoses of these very uploads that a specimen, or nobody's record, already has."""
    sums = list(upload_sha256s)
    keys = [intake_key(specimen, upload_sha256) for upload_sha256 in sums]
    there = Diagnosis.objects.filter(intake_key__in=keys).select_related("withdrawal")
    found = list(there.order_by("id"))
    again = [row for row in found if row.withdrawn]
    later = (intake_place(specimen, row.upload_sha256).held for row in again)
    return [row for row in found if not row.withdrawn] + [row for row in later if row]


def intake_key(specimen: Specimen | None, upload_sha256: str, again: int = 0) -> str:
    """What makes an upload the same as one that was sent before.

    Args:
        again: how many of the same were withdrawn from there before.
    """
    key = f"{specimen.pk if specimen else 0}:{upload_sha256}"
    return f"{key}:{again}" if again else key


@dataclass(frozen=True)
class Place:
    """Where an upload would stand in a specimen's, or nobody's, record.

    Attributes:
        key: its ``intake_key``.
        held: the diagnosis that has it already, if any.
        withdrawn: whether the same was withdrawn from there before.
    """

    key: str
    held: Diagnosis | None
    withdrawn: bool


def intake_place(specimen: Specimen | None, upload_sha256: str) -> Place:
    """Where an upload would stand; those of the same that were withdrawn keep their place."""
    for again in itertools.count():
        key = intake_key(specimen, upload_sha256, again)
        rows = Diagnosis.objects.select_related("withdrawal")
        held = rows.filter(intake_key=key).first()
        if held is None or not held.withdrawn:
            break
    return Place(key, held, withdrawn=again > 0)


def diagnosis_search(
    *, shown: str = "", specimens: Sequence[int] | None = None
) -> QuerySet[Diagnosis]:
    """Diagnoses for the list of all fields, newest first.

    Args:
        shown: a key of ``kinds_offered``; anything else shows all.
        specimens: ids of the specimens whose fields are meant; ``None`` for all fields, also
            those without a specimen.
    """
    diagnoses = diagnosis_list().filter(kinds_offered().get(shown, Q()))
    return diagnoses if specimens is None else diagnoses.filter(specimen__in=specimens)


def diagnoses_page(
    diagnoses: QuerySet[Diagnosis], *, before: int | None, size: int = 50
) -> tuple[list[Diagnosis], bool]:
    """The ``size`` newest of ``diagnoses`` before number ``before``, and whether more follow."""
    rows = diagnoses.order_by("-id")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    # Numbers first, which an index holds: what is sorted is then not whole rows.
    ids, more = first_of(rows.values_list("pk", flat=True), size)
    return list(diagnosis_list().filter(pk__in=ids)), more


def specimens_of_patient(patient: Patient) -> QuerySet[Specimen]:
    """One patient's specimens, newest first, each with ``field_count``."""
    standing = Q(diagnoses__withdrawal__isnull=True)
    return Specimen.objects.filter(patient=patient).annotate(
        field_count=Count("diagnoses", filter=standing)
    )


def outcome_counts(diagnoses: QuerySet[Diagnosis], reader: Reader) -> dict[str, int]:
    """How many of ``diagnoses`` count, by key of ``FIELD_KINDS``, where there are any.

    Those whose answer is kept from ``reader`` count as ``unread`` instead.
    """
    kept = kept_from(reader)
    counted = diagnoses.filter(STANDING).aggregate(
        unread=Count("pk", filter=kept),
        **{name: Count("pk", filter=which & ~kept) for name, which in FIELD_KINDS.items()},
    )
    return {name: count for name, count in counted.items() if count}


def diagnosis_contract(diagnosis: Diagnosis) -> ModelContract | None:
    """The contract of the version that answered, if the store still holds that very one."""
    if diagnosis.model_version is None:
        return None
    folder = version_dir(settings.MODEL_STORE, diagnosis.model_name, diagnosis.model_version)
    try:
        contract = _contract(folder, diagnosis.model_digest)
    except ContractError:
        return None
    return contract if contract.digest == diagnosis.model_digest else None


@lru_cache(maxsize=16)
def _contract(folder: Path, digest: str) -> ModelContract:
    """``digest`` is in the cache's key: a version published anew is read anew."""
    return ModelContract.load(folder)


def diagnoses_due(limit: int = 500) -> list[int]:
    """Ids of ``received`` diagnoses that nobody works on and whose time has come, oldest first.

    Fresh rows are left to the request that made them.
    """
    due = Diagnosis.objects.filter(_is_due(timezone.now()), status=Status.RECEIVED)
    return list(due.order_by("id").values_list("pk", flat=True)[:limit])


@dataclass(frozen=True)
class QueueState:
    """What waits.

    Attributes:
        due: ``received`` fields whose time has come and that nobody works on.
        waiting: other ``received`` fields: worked on, or waiting for their next attempt.
        oldest_due_s: for how many seconds the longest waiting due field has been due.
        failed: fields that were given up and that nobody has had tried again, or withdrawn.
    """

    due: int
    waiting: int
    oldest_due_s: float
    failed: int


def queue_state() -> QueueState:
    """Count the queue; the rows of both questions are found by the index of the status."""
    now = timezone.now()
    is_due = _is_due(now)
    since = Coalesce("lease_until", "next_attempt_at", "created_at")
    received = Diagnosis.objects.filter(status=Status.RECEIVED).aggregate(
        total=Count("pk"),
        due=Count("pk", filter=is_due),
        since=Min(since, filter=is_due),
    )
    return QueueState(
        due=received["due"],
        waiting=received["total"] - received["due"],
        oldest_due_s=(now - received["since"]).total_seconds() if received["since"] else 0.0,
        failed=Diagnosis.objects.filter(STANDING, status=Status.FAILED).count(),
    )


def model_away_since() -> datetime | None:
    """Since when fields wait for a model that does not answer; ``None`` if none does.

    Since the last answer or, where nobody asked for a while then, since the first field that
    waits came in. The model is asked for its state, for about a second, only where a field waits
    and nothing has been answered lately.
    """
    waiting = Diagnosis.objects.filter(STANDING, status=Status.RECEIVED)
    since: datetime | None = waiting.aggregate(since=Min("created_at"))["since"]
    if since is None:
        return None
    # `next_attempt_at` is empty in all of them; named, it lets the index give them in order.
    answered = Diagnosis.objects.filter(status=Status.SCREENED, next_attempt_at=None)
    latest = answered.order_by("-id").values("completed_at")[:LATEST_ANSWERS]
    last: datetime | None = latest.aggregate(last=Max("completed_at"))["last"]
    since = max(since, last) if last else since
    return None if _is_recent(since) or _model_is_there() else since


def _is_recent(moment: datetime) -> bool:
    return timezone.now() - moment < timedelta(seconds=SILENT_S)


def _model_is_there() -> bool:
    try:
        return stable_predictor().is_available()
    except ContractError:  # no version is live
        return False


def _is_due(now: datetime) -> Q:
    return (
        Q(lease_until__lte=now)
        | Q(lease_until=None, next_attempt_at__lte=now)
        | Q(lease_until=None, next_attempt_at=None, created_at__lte=now - timedelta(seconds=10))
    )
