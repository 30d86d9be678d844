"""Diagnoses with results that a test chooses, written the way the services write them."""

from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from django.contrib.auth.models import User
from django.utils import timezone

from diagnosis.core.imaging.contract import LABELS, ModelContract, Rectangle
from diagnosis.core.imaging.validate import FIXES
from diagnosis.core.state import Status
from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.screening import diagnosis_fail, diagnosis_lease
from diagnosis.fields.screening import diagnosis_transition as transition
from diagnosis.models import Diagnosis
from patients.models import Specimen

CHECKS = [
    {
        "name": "colour_histogram",
        "score": 0.91,
        "threshold": 0.6,
        "passed": True,
        "fix": "Photograph a stained smear.",
    },
    {
        "name": "focus",
        "score": 0.52,
        "threshold": 0.3,
        "passed": True,
        "fix": "Bring the cells into focus.",
    },
]

_seeds = count(1)


def png(height: int = 96, width: int = 128) -> bytes:
    """Coloured blotches as a PNG; others on every call."""
    blotches = np.random.default_rng(next(_seeds)).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".png", cv2.resize(blotches, (width, height)))[1].tobytes())


def contract(version: int = 1) -> ModelContract:
    """A version's contract: suspicious from 60 %, not suspicious up to 20 %, distance up to 10."""
    return ModelContract(
        name="all_smear",
        version=version,
        architecture="custom_cnn",
        labels=LABELS,
        height=224,
        width=224,
        covered=Rectangle(192, 160, 224, 224, (255, 255, 255)),
        histogram_templates=np.full((1, 3, 256), 1 / 256, np.float32),
        thresholds=dict.fromkeys(FIXES, 0.0) | {"colour_histogram": 0.6},
        temperature=1.0,
        suspicious_min=0.6,
        not_suspicious_max=0.2,
        ood_max=10.0,
        training_data_digest="0" * 64,
        graph_digest="0" * 64,
        metrics={},
        digest="",
    )


def publish_contract(store: Path, version: int = 1) -> str:
    """Write the contract where the store keeps it; gives its digest."""
    path = store / "all_smear" / str(version) / "assets.extra/contract.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(contract(version).to_json())
    return ModelContract.load(path.parent.parent).digest


def received(
    user: User,
    specimen: Specimen | None,
    upload: bytes | None = None,
    file_name: str = "field.png",
) -> Diagnosis:
    """A field that waits for the model."""
    diagnosis, _ = diagnosis_create(
        actor=user, upload=upload or png(), file_name=file_name, specimen=specimen
    )
    return diagnosis


def screened(
    user: User,
    specimen: Specimen | None,
    *,
    outcome: str = "suspicious",
    probabilities: tuple[float, ...] = (0.02, 0.03, 0.9, 0.05),
    ood_score: float = 4.2,
    digest: str = "d" * 64,
    upload: bytes | None = None,
    file_name: str = "field.png",
) -> Diagnosis:
    """A field with the model's answer."""
    return _finish(
        received(user, specimen, upload, file_name),
        Status.SCREENED,
        outcome=outcome,
        predicted_class=LABELS[int(np.argmax(probabilities))],
        confidence=max(probabilities),
        probabilities=dict(zip(LABELS, probabilities, strict=True)),
        ood_score=ood_score,
        validation=_validation(CHECKS),
        digest=digest,
    )


def refused(
    user: User, specimen: Specimen | None, *, digest: str = "d" * 64, upload: bytes | None = None
) -> Diagnosis:
    """An image that is no blood smear: the colour histogram scores 0.12 of 0.6."""
    wrong = {**CHECKS[0], "score": 0.12, "passed": False}
    return _finish(
        received(user, specimen, upload),
        Status.REFUSED,
        outcome="rejected",
        validation=_validation([wrong, CHECKS[1]]),
        digest=digest,
    )


def failed(user: User, specimen: Specimen | None, failure: str = "model_unavailable") -> Diagnosis:
    """A field that every attempt at failed."""
    diagnosis = received(user, specimen)
    attempt = diagnosis_lease(diagnosis_id=diagnosis.pk)
    assert attempt is not None
    assert diagnosis_fail(diagnosis=diagnosis, attempt=attempt, failure=failure)
    diagnosis.refresh_from_db()
    return diagnosis


def _finish(diagnosis: Diagnosis, to: Status, *, digest: str, **fields: Any) -> Diagnosis:
    attempt = diagnosis_lease(diagnosis_id=diagnosis.pk)
    assert attempt is not None
    assert transition(
        diagnosis=diagnosis,
        attempt=attempt,
        to=to,
        model_name="all_smear",
        model_version=1,
        model_digest=digest,
        model_architecture="custom_cnn",
        completed_at=timezone.now(),
        **fields,
    )
    diagnosis.refresh_from_db()
    return diagnosis


def _validation(checks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "accepted": all(check["passed"] for check in checks),
        "score": checks[0]["score"],
        "threshold": checks[0]["threshold"],
        "checks": checks,
    }
