"""Records of a laboratory that a test lays down, with times of its own choosing."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import User
from django.utils import timezone

from diagnosis.core.imaging.contract import LABELS
from diagnosis.models import Diagnosis, Review
from patients.models import Patient, Specimen

_numbers = count(1)


def specimen(patient: Patient | None = None, **fields: Any) -> Specimen:
    """A specimen, of a patient of its own unless one is given."""
    number = next(_numbers)
    patient = patient or Patient.objects.create(medical_record_number=f"L-{number}", name="Lab")
    return Specimen.objects.create(accession_number=f"L-{number}", patient=patient, **fields)


def field(
    of: Specimen | None = None,
    *,
    given: int | None = 0,
    at: datetime | None = None,
    seconds: float = 2.0,
    **fields: Any,
) -> Diagnosis:
    """A screened field that the model gave class number ``given``; refused with ``None``."""
    number, at = next(_numbers), at or timezone.now()
    values: dict[str, Any] = {
        "specimen": of,
        "intake_key": f"laboratory:{number}",
        "upload_sha256": f"{number:064}",
        "image_sha256": f"{number:064}",
        "image_name": f"{number}.png",
        "media_type": "image/png",
        "width": 224,
        "height": 224,
        "model_name": "all_smear",
        "model_version": 2,
        "model_digest": "d" * 64,
        "validation": validation(passed=given is not None),
        "completed_at": at + timedelta(seconds=seconds),
    }
    if given is None:
        values |= {"status": "refused", "outcome": "rejected"}
    else:
        values |= {
            "status": "screened",
            "outcome": "suspicious",
            "predicted_class": LABELS[given],
            "confidence": 0.9,
            "ood_score": 0.5,
        }
    with patch("django.utils.timezone.now", lambda: at):  # what auto_now_add asks
        return Diagnosis.objects.create(**(values | fields))


def validation(passed: bool = True, failing: tuple[str, ...] = ("focus",)) -> dict[str, Any]:
    """A report in which all checks pass, or ``failing`` do not."""
    names = ("colour_histogram", "focus", "brightness")
    return {
        "checks": [
            {"name": name, "score": 0.7, "threshold": 0.5, "passed": passed or name not in failing}
            for name in names
        ]
    }


def read(of: Diagnosis, user: User, label: int | None, *, blinded: bool = False) -> Review:
    """A reading: class number ``label``, or unusable with ``None``."""
    verdict = "unusable" if label is None else "override"
    if label is not None and LABELS[label] == of.predicted_class:
        verdict = "agree"
    return Review.objects.create(
        diagnosis=of,
        reviewer=user,
        verdict=verdict,
        label="" if label is None else LABELS[label],
        reason="" if verdict == "agree" else "seen",
        blinded=blinded,
    )
