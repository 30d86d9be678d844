"""One patient with one specimen, and a model store that holds a contract and no model."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from patients.models import Patient, Specimen
from tests.diagnosis.portal.records import publish_contract


@pytest.fixture(autouse=True)
def digest(settings: Settings, tmp_path: Path) -> str:
    """The published contract's digest. Nothing is live, so uploads wait."""
    settings.MODEL_STORE = tmp_path / "store"
    return publish_contract(settings.MODEL_STORE)


@pytest.fixture
def blinded(settings: Settings) -> None:
    """A site where a reader reads before the software's answer is shown."""
    settings.BLINDED_FIRST_READ = True


@pytest.fixture
def patient(db: None) -> Patient:
    return Patient.objects.create(
        medical_record_number="MRN-7", name="Ada Example", date_of_birth="2017-03-09"
    )


@pytest.fixture
def specimen(patient: Patient) -> Specimen:
    return Specimen.objects.create(
        patient=patient, accession_number="H26-1", stain="wright-giemsa", site="peripheral-blood"
    )


@pytest.fixture
def reader(client: Client, django_user_model: type[User]) -> Client:
    """May see everything, and change nothing."""
    user = django_user_model.objects.create_user("reader")
    names = ("view_patient", "view_specimen", "view_diagnosis", "view_case")
    user.user_permissions.add(*Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(user)
    return client
