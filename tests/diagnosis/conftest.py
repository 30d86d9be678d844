"""Fixtures of the diagnosis tests."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diagnosis.imaging.contract import ModelContract
from diagnosis.predictors.store import read_live, version_dir
from tests.diagnosis.support import FakePredictor, document_jpeg, make_contract, smear_jpeg

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from patients.models import Specimen


@pytest.fixture(scope="session")
def contract() -> ModelContract:
    """A contract that accepts drawn fields."""
    return make_contract()


@pytest.fixture(scope="session")
def smear() -> bytes:
    """A drawn field as JPEG."""
    return smear_jpeg()


@pytest.fixture(scope="session")
def document() -> bytes:
    """A page of text as JPEG."""
    return document_jpeg()


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch, contract: ModelContract) -> FakePredictor:
    """The live predictor of this test."""
    fake = FakePredictor(contract)
    for place in ("diagnosis.services.stable_predictor", "diagnosis.api.views.stable_predictor"):
        monkeypatch.setattr(place, lambda: fake)
    return fake


@pytest.fixture(scope="session")
def published_dir() -> Path:
    """The stable version of this repository."""
    from django.conf import settings

    live = read_live(settings.MODEL_STORE, settings.MODEL_NAME)
    return version_dir(settings.MODEL_STORE, settings.MODEL_NAME, live.stable)


@pytest.fixture
def specimen(db: None) -> "Specimen":
    """A registered specimen, S-1."""
    from patients.models import Patient, Specimen

    patient = Patient.objects.create(medical_record_number="MRN-1", name="Ada Example")
    return Specimen.objects.create(accession_number="S-1", patient=patient)


@pytest.fixture
def other_specimen(specimen: "Specimen") -> "Specimen":
    """Another specimen of the same patient, S-2."""
    return type(specimen).objects.create(accession_number="S-2", patient=specimen.patient)


@pytest.fixture
def administrator(django_user_model: "type[User]", db: None) -> "User":
    """A superuser."""
    return django_user_model.objects.create_superuser("administrator")
