"""A small laboratory with records of every kind, and everything that a backup has to keep of it."""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.management import call_command
from django.db import connection, connections

from diagnosis.cases.services import agree_with_all
from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import Live, live_path
from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.screening import diagnosis_fail, diagnosis_lease, diagnosis_run
from diagnosis.models import Case, Diagnosis
from patients.models import Specimen
from patients.services import patient_create, specimen_create
from tests.diagnosis.made.pictures import document_jpeg, smear_jpeg
from tests.diagnosis.reports.made import sign

# What a dump has to escape: quotes, backslashes, line breaks, letters beyond the basic plane.
NAME = 'Zoë O\'Brien \\ "李" 😀'
FILE_NAME = "a\r\nINSERT INTO `b` VALUES ('c');\t\\.jpg"


@dataclass(frozen=True)
class Site:
    """Who works there, and on what."""

    actor: User
    specimen: Specimen


def make_site() -> Site:
    """A patient, a signed case and diagnoses in every status; needs a predictor that accepts."""
    actor = User.objects.create_user("clinician")
    actor.groups.add(Group.objects.get(name="Haematologist"))
    patient = patient_create(actor=actor, medical_record_number="MRN-1", name=NAME)
    specimen = specimen_create(actor=actor, patient=patient, accession_number="S-1")
    for upload in (smear_jpeg(1), smear_jpeg(2), document_jpeg()):
        add_field(actor, upload, specimen)
    agree_with_all(actor=actor, case=Case.objects.get(specimen=specimen))
    assert sign(actor, specimen)
    add_field(actor, smear_jpeg(3), None)
    waiting, _ = diagnosis_create(actor=actor, upload=smear_jpeg(4), file_name=FILE_NAME)
    failed, _ = diagnosis_create(actor=actor, upload=smear_jpeg(5))
    attempt = diagnosis_lease(diagnosis_id=failed.pk)
    assert attempt
    diagnosis_fail(diagnosis=failed, attempt=attempt, failure="gave_up")
    session = SessionStore()
    session["who"] = actor.pk
    session.save()
    assert waiting.status == "received"
    return Site(actor, specimen)


def add_field(actor: User, upload: bytes, specimen: Specimen | None) -> Diagnosis:
    """One screened field."""
    diagnosis, created = diagnosis_create(actor=actor, upload=upload, specimen=specimen)
    assert created
    return diagnosis_run(diagnosis_id=diagnosis.pk)


def publish(number: int, content: bytes = b"graph") -> Path:
    """A sealed version in MODEL_STORE, no real model."""
    folder = Path(settings.MODEL_STORE) / "all_smear" / str(number)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "variables").mkdir()
    (folder / "saved_model.pb").write_bytes(content)
    (folder / "variables/variables.index").write_bytes(b"index")
    seal(folder)
    return folder


def promote(number: int, previous: int | None = None) -> None:
    """Make a version live."""
    store = Path(settings.MODEL_STORE)
    live_path(store, "all_smear").write_bytes(Live(number, previous=previous).to_json())
    (store.parent / "models.config").write_text(f"versions: {number}\n")


def rows() -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sessions left out: a restore ends them."""
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names(cursor):
            if table != "django_session":
                cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY 1")
                found[table] = list(cursor.fetchall())
    return found


def files(root: Path) -> dict[str, str]:
    """sha256 of every file below ``root``, hidden ones too."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def state() -> dict[str, Any]:
    """All that a backup keeps."""
    store = Path(settings.MODEL_STORE)
    return {
        **rows(),
        "media": files(Path(settings.MEDIA_ROOT)),
        "models": files(store.parent),
    }


def without(found: dict[str, Any], action: str) -> dict[str, Any]:
    """A state whose audit trail ends with ``action``, as it was before."""
    *events, last = found["audit_auditevent"]
    assert action in last, last
    return {**found, "audit_auditevent": events}


def wipe_database() -> None:
    """A database without any table, as a new server has it."""
    if connection.vendor == "sqlite":
        path = Path(connection.settings_dict["NAME"])
        connections.close_all()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        return
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)}")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")


def command(*args: str, **options: Any) -> str:
    """What a management command prints."""
    out = io.StringIO()
    call_command(*args, stdout=out, **options)
    return out.getvalue()
