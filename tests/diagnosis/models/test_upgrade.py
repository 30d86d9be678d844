"""A database of an earlier version becomes one of this version, and keeps what is in it."""

import ast
import hashlib
import io
import json
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.forms import model_to_dict

from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.screening import diagnosis_run
from diagnosis.models import Case, Diagnosis
from diagnosis.models.triggers import history_unprotected
from patients.models import Specimen
from tests.diagnosis.made.pictures import FakePredictor, document_jpeg, smear_jpeg

LANDED = Path(__file__).with_name("landed_migrations.json")
OURS = ("patients", "diagnosis", "audit", "accounts")


def _content(path: Path) -> str:
    """The sha256 of what a migration says, however it is laid out."""
    return hashlib.sha256(ast.unparse(ast.parse(path.read_text("utf-8"))).encode()).hexdigest()


def test_what_has_landed_is_never_rewritten() -> None:
    """A database that had a migration as it was would never get what is put into it later."""
    migrations = {
        f"{label}.{path.stem}": _content(path)
        for label in OURS
        for path in (Path(apps.get_app_config(label).path) / "migrations").glob("0*.py")
    }
    landed = json.loads(LANDED.read_text("utf-8"))
    changed = [name for name in landed if migrations.get(name) != landed[name]]
    assert not changed, f"put {changed} back as they were, and the change into a new migration"
    new = {name: migrations[name] for name in sorted(migrations.keys() - landed.keys())}
    assert not new, f"add to {LANDED.name}: {json.dumps(new, indent=2)}"


@pytest.mark.django_db(transaction=True)
def test_a_database_from_before_there_were_cases(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    for upload in (smear_jpeg(1), smear_jpeg(2), document_jpeg()):
        row, _ = diagnosis_create(actor=clinician, upload=upload, specimen=specimen)
        diagnosis_run(diagnosis_id=row.pk)
    diagnosis_create(actor=clinician, upload=smear_jpeg(3), specimen=specimen)
    made = model_to_dict(Case.objects.get(), exclude=["id"])
    fields = list(Diagnosis.objects.values())

    for earlier in (("diagnosis", "0002"), ("patients", "0001")):
        call_command("migrate", *earlier, verbosity=0)
    call_command("migrate", verbosity=0)

    assert model_to_dict(Case.objects.get(), exclude=["id"]) == made
    assert list(Diagnosis.objects.values()) == fields
    assert history_unprotected() == []
    out = io.StringIO()
    call_command("check_integrity", stdout=out)
    assert out.getvalue() == "4 diagnoses checked, all agree\n"
