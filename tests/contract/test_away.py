"""With the model server away: uploads are taken, wait visibly, and are finished when it is back."""

import io
import json
from functools import partialmethod
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.core.predictors.circuit import Circuit
from diagnosis.core.state import Status
from diagnosis.fields.screening import diagnoses_run_due
from diagnosis.models import Diagnosis
from diagnosis.storage.media import media_path
from tests.contract.conftest import STORE
from tests.diagnosis.killed.steps import make_due
from tests.diagnosis.made.pictures import smear_jpeg
from tests.servers.mariadb import free_port
from tests.tfserving.model_server import ModelServer, Store
from tests.tfserving.patience import Clock

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_client")]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of every circuit."""
    clock = Clock()
    monkeypatch.setattr(Circuit, "__init__", partialmethod(Circuit.__init__, clock=clock))
    return clock


@pytest.fixture
def port(settings: Settings, clock: Clock) -> int:
    """Where nobody listens yet, and the product looks for its model."""
    port = free_port()
    settings.PREDICTOR_URL = f"http://127.0.0.1:{port}/v1/models/all_smear"
    return port


@pytest.fixture
def waiting(api: APIClient, port: int) -> Diagnosis:
    answer = api.post(
        "/api/diagnose", {"image": io.BytesIO(smear_jpeg(1, 480, 640))}, format="multipart"
    )
    assert answer.status_code == 202
    found = api.get(answer["Location"])
    assert (found.status_code, found.json()["status"]) == (200, "received")
    return Diagnosis.objects.get(pk=found.json()["id"])


def test_image_and_row_are_safe(waiting: Diagnosis) -> None:
    assert media_path(waiting.image_name).is_file()
    out = io.StringIO()
    call_command("check_integrity", stdout=out)
    assert "all agree" in out.getvalue()


def test_the_page_says_what_it_waits_for(waiting: Diagnosis, client_signed_in: Client) -> None:
    page = client_signed_in.get(f"/diagnoses/{waiting.pk}").content.decode()
    assert "Waiting for the model" in page


def test_it_is_degraded_and_alive(waiting: Diagnosis, client: Client) -> None:
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["model"] == "away"
    assert client.get("/healthz").status_code == 200


def test_it_is_finished_when_the_model_is_back(
    waiting: Diagnosis, port: int, clock: Clock, client: Client
) -> None:
    make_due(waiting)
    diagnoses_run_due()
    waiting.refresh_from_db()
    assert waiting.status == Status.RECEIVED
    with ModelServer(Store(STORE), port):
        assert client.get("/readyz").json()["model"] == "ok"
        clock.now += 60
        make_due(waiting)
        assert diagnoses_run_due() == 1
    waiting.refresh_from_db()
    assert waiting.status == Status.SCREENED
    assert (
        waiting.model_version
        == json.loads((Path(STORE) / "all_smear/live.json").read_text())["stable"]
    )
