"""What tests of the services do again and again."""

from datetime import timedelta
from pathlib import Path

from django.contrib.auth.models import User
from django.utils import timezone

from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.models import Diagnosis
from diagnosis.storage.media import media_path
from patients.models import Specimen
from webapp.audit.models import AuditEvent


def create_field(actor: User, upload: bytes, specimen: Specimen | None = None) -> Diagnosis:
    diagnosis, created = services.diagnosis_create(actor=actor, upload=upload, specimen=specimen)
    assert created
    return diagnosis


def run_field(diagnosis: Diagnosis) -> Diagnosis:
    return screening.diagnosis_run(diagnosis_id=diagnosis.pk)


def actions_of(diagnosis: Diagnosis) -> list[str]:
    events = AuditEvent.objects.filter(target_type="diagnosis.diagnosis", target_id=diagnosis.pk)
    return list(events.order_by("pk").values_list("action", flat=True))


def make_due(diagnosis: Diagnosis) -> None:
    """As if the backoff or the lease had run out."""
    past = timezone.now() - timedelta(seconds=1)
    rows = Diagnosis.objects.filter(pk=diagnosis.pk)
    rows.exclude(next_attempt_at=None).update(next_attempt_at=past)
    rows.exclude(lease_until=None).update(lease_until=past)


def stored_files() -> list[Path]:
    root = media_path("fields")
    return [path for path in root.rglob("*") if path.is_file()]
