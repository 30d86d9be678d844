"""A case with fields of every kind, and the people who read and sign it."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import Settings

from diagnosis.models import Report
from diagnosis.reports.content.snapshot import Document
from diagnosis.roles import HAEMATOLOGIST
from diagnosis.signing.services import draft
from diagnosis.storage.media import media_path
from patients.models import Patient, Specimen
from tests.diagnosis.made.kept import Kept
from tests.diagnosis.portal.records import publish_contract
from tests.diagnosis.reports.made import case_of, fields_of_every_kind, sign


@pytest.fixture
def digest(settings: Settings, tmp_path: Path) -> str:
    """The digest of the version that answers here."""
    settings.MODEL_STORE = tmp_path / "store"
    return publish_contract(settings.MODEL_STORE)


@pytest.fixture
def laboratory(settings: Settings) -> None:
    settings.LABORATORY = "Haematology, Example Hospital, Example Street 1"
    settings.TIME_ZONE = "Europe/Berlin"


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The case as it was read, and as it was signed."""
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def _records(
    request: pytest.FixtureRequest, db: None, laboratory: None, digest: str, kept: Kept
) -> None:
    if "signed" in request.fixturenames:
        kept.bring("signed", lambda: sign(*_read_case(digest)))
    else:
        kept.bring("read", lambda: _read_case(digest))


@pytest.fixture
def clinician(_records: None) -> User:
    return User.objects.get(username="clinician")


@pytest.fixture
def reader(clinician: User) -> User:
    """Grace Hopper, who reads."""
    return clinician


@pytest.fixture
def second_reader(db: None, django_user_model: type[User]) -> User:
    """Rosalind Franklin, who approves."""
    return django_user_model.objects.create_user(
        "second", first_name="Rosalind", last_name="Franklin"
    )


@pytest.fixture
def read_case(_records: None) -> Specimen:
    """The specimen with fields of every kind, all of them read; nobody has signed."""
    return Specimen.objects.get()


@pytest.fixture
def signed(read_case: Specimen) -> Report:
    """The first report of the case; its reader has signed."""
    return Report.objects.get()


def _read_case(digest: str) -> tuple[User, Specimen]:
    """Grace Hopper's, of Ada Example, H26-1."""
    reader = User.objects.create_user("clinician", first_name="Grace", last_name="Hopper")
    reader.groups.add(Group.objects.get(name=HAEMATOLOGIST))
    patient = Patient.objects.create(
        medical_record_number="MRN-7", name="Ada Example", date_of_birth="2017-03-09", sex="female"
    )
    specimen = Specimen.objects.create(
        patient=patient,
        accession_number="H26-1",
        stain="wright-giemsa",
        site="peripheral-blood",
        objective="100x",
        collected_at="2026-03-01T08:30:00+00:00",
        received_at="2026-07-01T08:30:00+00:00",
    )
    fields_of_every_kind(reader, specimen, digest)
    return reader, specimen


@pytest.fixture
def content(read_case: Specimen) -> Document:
    """Of the case that all have read and nobody has signed."""
    return draft(case_of(read_case))[0]


@pytest.fixture
def final(read_case: Specimen, reader: User) -> bytes:
    """The stored PDF of the signed case."""
    report = sign(reader, read_case, comment="Blasts in two fields.")
    assert report
    return media_path(report.pdf_name).read_bytes()
