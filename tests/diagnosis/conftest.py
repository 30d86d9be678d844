"""Fixtures of the diagnosis tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.store import read_live, version_dir
from tests.diagnosis.made.pictures import (
    FakePredictor,
    document_jpeg,
    live,
    make_contract,
    smear_jpeg,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User
    from pytest_django.fixtures import SettingsWrapper
    from pytest_django.plugin import DjangoDbBlocker

    from patients.models import Specimen
    from tests.diagnosis.made.site import Site


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
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(fake))
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


@contextmanager
def _database_file(path: Path) -> Iterator[None]:
    """Django's default database is the SQLite file ``path``, in every thread."""
    from django.contrib.contenttypes.models import ContentType
    from django.db import connections

    connection, configured = connections["default"], connections.settings["default"]
    connections.settings["default"] = {**configured, "NAME": str(path)}
    connections["default"] = connections.create_connection("default")
    ContentType.objects.clear_cache()
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"] = configured
        connections["default"] = connection
        ContentType.objects.clear_cache()


@pytest.fixture(scope="session")
def _migrated_file(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: "DjangoDbBlocker"
) -> Path:
    from django.core.management import call_command

    path = tmp_path_factory.mktemp("database") / "db.sqlite3"
    with django_db_blocker.unblock(), _database_file(path):
        call_command("migrate", verbosity=0)
    return path


@pytest.fixture
def shared_database(
    request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: "DjangoDbBlocker"
) -> Iterator[str]:
    """A database that other threads and processes see as it is; its DATABASE_URL.

    SQLite's is a file, as in the product: the one in memory that other tests use knows no
    write-ahead log and answers a second writer with an error.
    """
    from django.db import connections

    found = connections.settings["default"]
    if found["ENGINE"].endswith("mysql"):
        request.getfixturevalue("transactional_db")
        mode = found["OPTIONS"].get("ssl_mode", "DISABLED")
        where = "mysql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**found)
        yield f"{where}?ssl_mode={mode}"
        return
    path = tmp_path / "db.sqlite3"
    shutil.copy(request.getfixturevalue("_migrated_file"), path)
    with django_db_blocker.unblock(), _database_file(path):
        yield f"sqlite:///{path}"


@pytest.fixture
def store(tmp_path: Path, settings: "SettingsWrapper") -> Path:
    """A model store with two sealed versions, no real models; the second is live."""
    from tests.diagnosis.made.site import promote, publish

    settings.MODEL_STORE = tmp_path / "serving/models"
    publish(1)
    publish(2)
    promote(2, previous=1)
    return settings.MODEL_STORE


@pytest.fixture
def site(
    shared_database: str,
    store: Path,
    predictor: FakePredictor,
    django_db_blocker: "DjangoDbBlocker",
) -> "Iterator[Site]":
    """A laboratory with records of every kind; the tables are there again when the test ends."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    from diagnosis.operations.backup.database import applied_migrations, unknown_migrations
    from tests.diagnosis.made.site import make_site

    yield make_site()
    with django_db_blocker.unblock():
        for migration in unknown_migrations(applied_migrations()):
            MigrationRecorder(connection).record_unapplied(*migration.split("."))
        call_command("migrate", verbosity=0)
