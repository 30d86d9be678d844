"""What a report says, as data: the one document that people sign and that is printed.

Everything in it comes from the records; nothing is computed when it is printed. Its canonical
JSON (keys sorted, no spaces, UTF-8) is what a signature's sha256 is taken of.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AbstractUser
from django.db.models import Prefetch

from diagnosis.cases.corrections import corrections_in
from diagnosis.fields.selectors import diagnosis_contract
from diagnosis.models import (
    Amendment,
    Case,
    Conclusion,
    Diagnosis,
    IdentityCorrection,
    Review,
)
from patients.models import Patient, Specimen
from webapp.text.typed import is_blank

SCHEMA = "leukemia-detection.case/1"

Document = dict[str, Any]


def case_content(
    case: Case,
    *,
    number: int = 1,
    conclusion: Conclusion | None = None,
    amendment: Amendment | None = None,
) -> Document:
    """The case as it now stands; JSON-serialisable.

    Args:
        number: of the report that this would become, from 1.
        conclusion: the reader's; saved or about to be. Without one the document is preliminary.
        amendment: why there is a second report, or a later one.

    Returns:
        ``schema``, ``laboratory``, ``report``, ``patient``, ``specimen``, ``software`` (what the
        software says of the case, the rule, the counts), ``conclusion`` (or null), ``fields`` in
        the order of their arrival, each with result, failed checks and the reading that counts,
        and ``models`` (who answered, with the bounds used). Where fields were withdrawn,
        ``withdrawn`` says which, by whom and why; they are not among ``fields`` and count nowhere.
    """
    specimen = Specimen.objects.select_related("patient").get(pk=case.specimen_id)
    arrived = (
        Diagnosis.objects.filter(specimen=specimen)
        .order_by("id")
        .select_related("withdrawal__author")
        .prefetch_related(
            Prefetch("reviews", Review.objects.select_related("reviewer").order_by("-id"))
        )
    )
    numbered = list(enumerate(arrived, start=1))
    fields = [field for _, field in numbered if not field.withdrawn]
    withdrawn = [_withdrawn(number, field) for number, field in numbered if field.withdrawn]
    document = {
        "schema": SCHEMA,
        "laboratory": settings.LABORATORY,
        "report": {"number": number, "amends": _amends(amendment)},
        "patient": _patient(specimen.patient),
        "specimen": _specimen(specimen),
        "software": {
            "headline": case.headline,
            "rule": case.rule,
            "counts": asdict(case.counts),
            "usable": case.counts.usable,
            "minimum_usable": settings.MIN_USABLE_FIELDS,
        },
        "conclusion": _conclusion(conclusion, case),
        "fields": [_field(number, field) for number, field in numbered if not field.withdrawn],
        "models": _models(fields),
    }
    return document | ({"withdrawn": withdrawn} if withdrawn else {})


def canonical(content: Document) -> str:
    """The one text of ``content``."""
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def content_sha256(content: Document) -> str:
    """sha256 of the canonical JSON, hexadecimal."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def reading_sha256(content: Document) -> str:
    """sha256 of everything but the conclusion: what somebody saw who is about to conclude."""
    return content_sha256({**content, "conclusion": None})


def person(user: AbstractBaseUser) -> Document:
    """Somebody as printed: the full name where there is one."""
    name, username = "", user.get_username()
    if isinstance(user, AbstractUser):
        name = user.get_full_name()
    return {"id": user.pk, "username": username, "name": username if is_blank(name) else name}


def _amends(amendment: Amendment | None) -> Document | None:
    if amendment is None:
        return None
    amends = {
        "number": amendment.report.number,
        "content_sha256": amendment.report.content_sha256,
        "reason": amendment.reason,
        "author": person(amendment.author),
        "at": _time(amendment.created_at),
    }
    corrections = [_correction(correction) for correction in corrections_in(amendment)]
    return amends | ({"corrections": corrections} if corrections else {})


def _correction(correction: IdentityCorrection) -> Document:
    return {
        "id": correction.pk,
        "changes": correction.changes,
        "reason": correction.reason,
        "author": correction.author and person(correction.author),
        "at": _time(correction.created_at),
    }


def _patient(patient: Patient) -> Document:
    return {
        "id": patient.pk,
        "medical_record_number": patient.medical_record_number,
        "name": patient.name,
        "date_of_birth": _time(patient.date_of_birth),
        "sex": patient.sex,
        "demonstration": patient.is_demonstration,
    }


def _specimen(specimen: Specimen) -> Document:
    return {
        "id": specimen.pk,
        "accession_number": specimen.accession_number,
        "site": specimen.site,
        "stain": specimen.stain,
        "objective": specimen.objective,
        "collected_at": _time(specimen.collected_at),
        "received_at": _time(specimen.received_at),
    }


def _conclusion(conclusion: Conclusion | None, case: Case) -> Document | None:
    if conclusion is None:
        return None
    return {
        "headline": conclusion.headline,
        "comment": conclusion.comment,
        "reason": conclusion.reason,
        "agrees": conclusion.headline == case.headline,
        "author": person(conclusion.author),
        "at": _time(conclusion.created_at),
    }


def _field(number: int, field: Diagnosis) -> Document:
    reviews: list[Review] = list(field.reviews.all())
    return {
        "number": number,
        "id": field.pk,
        "file_name": field.file_name,
        "image_sha256": field.image_sha256,
        "width": field.width,
        "height": field.height,
        "colour_conversion": field.colour_conversion,
        "uploaded_at": _time(field.created_at),
        "status": field.status,
        "outcome": field.outcome,
        "failure": field.failure,
        "predicted_class": field.predicted_class,
        "probabilities": field.probabilities,
        "ood_score": field.ood_score,
        "failed_checks": [
            {"name": check["name"], "score": check["score"], "threshold": check["threshold"]}
            for check in (field.validation or {}).get("checks", [])
            if not check["passed"]
        ],
        "model": [field.model_name, field.model_version, field.model_digest]
        if field.model_version
        else None,
        "reading": _reading(reviews),
    }


def _withdrawn(number: int, field: Diagnosis) -> Document:
    withdrawal = field.withdrawal
    return {
        "number": number,
        "id": field.pk,
        "file_name": field.file_name,
        "image_sha256": field.image_sha256,
        "uploaded_at": _time(field.created_at),
        "reason": withdrawal.reason,
        "author": person(withdrawal.author),
        "at": _time(withdrawal.created_at),
    }


def _reading(reviews: Sequence[Review]) -> Document | None:
    """The latest review, which counts, and how many came before it."""
    if not reviews:
        return None
    latest = reviews[0]
    return {
        "id": latest.pk,
        "verdict": latest.verdict,
        "label": latest.label,
        "reason": latest.reason,
        "blinded": latest.blinded,
        "reader": person(latest.reviewer),
        "at": _time(latest.created_at),
        "earlier": len(reviews) - 1,
    }


def _models(fields: Sequence[Diagnosis]) -> list[Document]:
    """Each version that answered, with the bounds of its contract where the store still has it."""
    answered: dict[tuple[str, int, str], Diagnosis] = {}
    for field in fields:
        if field.model_version is not None:
            answered.setdefault((field.model_name, field.model_version, field.model_digest), field)
    return [_model(field) for _, field in sorted(answered.items())]


def _model(field: Diagnosis) -> Document:
    contract = diagnosis_contract(field)
    return {
        "name": field.model_name,
        "version": field.model_version,
        "digest": field.model_digest,
        "architecture": field.model_architecture,
        "bounds": contract
        and {
            "suspicious_min": contract.suspicious_min,
            "not_suspicious_max": contract.not_suspicious_max,
            "ood_max": contract.ood_max,
        },
        # Fixed by the contract, whose digest is the version of the preprocessing as well.
        "preprocessing": contract
        and {
            "height": contract.height,
            "width": contract.width,
            "covered": {
                side: getattr(contract.covered, side) for side in ("top", "left", "bottom", "right")
            },
        },
        "training_data_digest": contract and contract.training_data_digest,
    }


def _time(at: datetime | date | None) -> str | None:
    return at.isoformat() if at else None
