"""Fixtures of the patients app."""

from collections.abc import Callable
from datetime import date

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from rest_framework.test import APIClient

from diagnosis.models import Diagnosis
from patients import services
from patients.models import Patient, Specimen


@pytest.fixture
def patient(db: None) -> Patient:
    return services.patient_create(
        actor=None,
        medical_record_number="MRN-1",
        name="Haddad, Leila",
        date_of_birth=date(2015, 3, 9),
        sex="female",
    )


@pytest.fixture
def specimen(patient: Patient) -> Specimen:
    return services.specimen_create(
        actor=None,
        patient=patient,
        accession_number="H24-1",
        stain="leishman",
        site="peripheral-blood",
    )


@pytest.fixture
def diagnosis(specimen: Specimen) -> Diagnosis:
    return Diagnosis.objects.create(
        specimen=specimen,
        intake_key="1:0",
        upload_sha256="0" * 64,
        image_sha256="0" * 64,
        image_name="a.png",
        media_type="image/png",
        width=640,
        height=480,
    )


@pytest.fixture
def user_who_may(db: None) -> Callable[..., User]:
    """A user with these permissions of the patients app and no other."""

    def make(*codenames: str) -> User:
        user = User.objects.create_user("somebody")
        permissions = Permission.objects.filter(
            content_type__app_label="patients", codename__in=codenames
        )
        assert len(permissions) == len(codenames)
        user.user_permissions.set(permissions)
        return user

    return make


@pytest.fixture
def browser_of(user_who_may: Callable[..., User]) -> Callable[..., Client]:
    """A signed-in browser whose user has these permissions."""

    def make(*codenames: str) -> Client:
        client = Client()
        client.force_login(user_who_may(*codenames))
        return client

    return make


@pytest.fixture
def api_of(user_who_may: Callable[..., User]) -> Callable[..., APIClient]:
    """An API client whose user has these permissions."""

    def make(*codenames: str) -> APIClient:
        client = APIClient()
        client.force_authenticate(user_who_may(*codenames))
        return client

    return make
