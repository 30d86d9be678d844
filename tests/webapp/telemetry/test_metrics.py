"""What is counted in one process; several together: tests/toolchain/test_observed_product.py."""

import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from pytest_django import Settings
from rest_framework.test import APIClient

from diagnosis.core.errors import ModelBusyError, PredictorError
from diagnosis.core.state import Status
from diagnosis.fields import instrumentation as observed
from diagnosis.models import Diagnosis
from tests.clock import clock_shifted
from tests.diagnosis.api.sending import post, post_file
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import (
    FakePredictor,
    document_jpeg,
    live,
    make_contract,
    smear_jpeg,
)
from tests.servers.mariadb import free_port
from tests.waiting import WITHIN_S
from tests.webapp.telemetry.scraping import scrape
from webapp.telemetry import metrics

TOKEN = "a-token-for-scrapes-0123"


@pytest.fixture
def predictor(monkeypatch: pytest.MonkeyPatch) -> FakePredictor:
    fake = FakePredictor(make_contract())
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(fake))
    return fake


Counted = Callable[..., float]


@pytest.fixture
def counted() -> Counted:
    """By how much a sample has grown since the test began."""
    before = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
    }

    def grown(name: str, **labels: str) -> float:
        now = REGISTRY.get_sample_value(name, labels) or 0.0
        return now - before.get((name, tuple(sorted(labels.items()))), 0.0)

    return grown


# --- Requests ----------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "route", "status"),
    [
        ("/patients/", "patient_list", "200"),
        ("/specimens/ACC-2931-Z/edit", "specimen_update", "404"),
        ("/admin/patients/patient/17/change/", "admin:patients_patient_change", "302"),
        ("/ACC-2931-Z", "none", "404"),
        ("/healthz", "healthz", "200"),
    ],
)
def test_requests_are_counted_by_the_name_of_their_route(
    client_signed_in: Client, counted: Counted, address: str, route: str, status: str
) -> None:
    labels = {"method": "GET", "route": route, "status": status}
    client_signed_in.get(address)
    assert counted("leukemia_http_requests_total", **labels) == 1
    assert counted("leukemia_http_request_duration_seconds_count", **labels) == 1
    assert counted("leukemia_http_request_duration_seconds_sum", **labels) > 0


def test_a_method_that_somebody_made_up_is_no_label(client: Client, counted: Counted) -> None:
    client.generic("LOVELACE", "/healthz")
    labels = {"method": "other", "route": "healthz", "status": "200"}
    assert counted("leukemia_http_requests_total", **labels) == 1


@pytest.mark.django_db
def test_a_fault_is_counted(
    client_signed_in: Client, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("patients.services.listing_record", lambda **kwargs: 1 / 0)
    client_signed_in.raise_request_exception = False
    client_signed_in.get("/patients/")
    labels = {"method": "GET", "route": "patient_list", "status": "500"}
    assert counted("leukemia_http_requests_total", **labels) == 1


# --- Fields ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_outcomes_are_counted_once_each(
    api: APIClient, predictor: FakePredictor, counted: Counted
) -> None:
    assert post(api, smear_jpeg(1)).status_code == 201
    assert post(api, smear_jpeg(1)).status_code == 200, "the same field again"
    predictor.ood_score = 99.0
    assert post(api, smear_jpeg(2)).status_code == 201
    name = "leukemia_diagnoses_total"
    assert counted(name, outcome="suspicious", model_version="7") == 1
    assert counted(name, outcome="indeterminate", model_version="7") == 1
    calls = {"kind": "embedded", "result": "ok"}
    assert counted("leukemia_model_call_duration_seconds_count", **calls) == 2


@pytest.mark.django_db
def test_refused_fields_are_counted_by_failing_check(
    api: APIClient, predictor: FakePredictor, counted: Counted
) -> None:
    response = post(api, document_jpeg())
    assert response.status_code == 422
    checks = response.json()["validation"]["checks"]
    assert {check["passed"] for check in checks} == {True, False}
    for check in checks:
        grown = counted("leukemia_refusals_total", check=check["name"])
        assert grown == (not check["passed"]), check["name"]
    assert counted("leukemia_diagnoses_total", outcome="rejected", model_version="7") == 1
    assert counted("leukemia_upload_refusals_total", code="image_refused") == 0, "it is kept"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("error", "result"),
    [
        (PredictorError("nonsense", permanent=True), "permanent"),
        (PredictorError("away", permanent=False), "transient"),
        (ModelBusyError("queue is full"), "busy"),
    ],
)
def test_a_model_that_fails(
    clinician: User,
    predictor: FakePredictor,
    counted: Counted,
    error: PredictorError,
    result: str,
) -> None:
    predictor.error = error
    run_field(create_field(clinician, smear_jpeg()))
    calls = {"kind": "embedded", "result": result}
    assert counted("leukemia_model_call_duration_seconds_count", **calls) == 1
    failed = counted("leukemia_diagnoses_total", outcome="failed", model_version="")
    assert failed == error.permanent, "the others wait"


@pytest.mark.django_db
def test_a_model_server_is_told_from_the_embedded_model(
    clinician: User, predictor: FakePredictor, counted: Counted, settings: Settings
) -> None:
    settings.PREDICTOR_URL = "http://tfserving:8501/v1/models/all_smear"
    predictor.during = lambda: 1 / 0
    run_field(create_field(clinician, smear_jpeg()))
    calls = {"kind": "tf_serving", "result": "permanent"}
    assert counted("leukemia_model_call_duration_seconds_count", **calls) == 1


@pytest.mark.django_db
def test_a_result_that_came_too_late_is_not_counted(
    clinician: User, predictor: FakePredictor, counted: Counted
) -> None:
    diagnosis = create_field(clinician, smear_jpeg())
    taken_over = Diagnosis.objects.filter(pk=diagnosis.pk)
    predictor.during = lambda: taken_over.update(attempts=5)
    run_field(diagnosis)
    assert counted("leukemia_diagnoses_total", outcome="suspicious", model_version="7") == 0


@pytest.mark.django_db
def test_uploads_of_which_nothing_is_kept(
    api: APIClient, client_signed_in: Client, settings: Settings, counted: Counted
) -> None:
    post_file(api, b"no image")
    post(api, smear_jpeg()[:2000])
    post(api, smear_jpeg(), specimen="unknown")
    client_signed_in.post(
        "/diagnoses/unassigned", {"fields": SimpleUploadedFile("x.jpg", smear_jpeg()[:2000])}
    )
    settings.MAX_UPLOAD_BYTES = 1000
    client_signed_in.post(
        "/diagnoses/unassigned", {"fields": SimpleUploadedFile("x.jpg", smear_jpeg())}
    )
    expected = {"not_an_image": 1, "damaged_image": 2, "unknown_specimen": 1, "too_large": 1}
    for code, number in expected.items():
        assert counted("leukemia_upload_refusals_total", code=code) == number, code
    APIClient().post("/api/diagnose", {})
    assert counted("leukemia_upload_refusals_total", code="not_authenticated") == 0


def test_tasks_are_timed(counted: Counted) -> None:
    began = timezone.now()
    result: Any = SimpleNamespace(
        task=SimpleNamespace(name="screen_waiting"),
        status="SUCCESSFUL",
        started_at=began,
        finished_at=began + timedelta(seconds=3),
    )
    observed.task_count(sender=None, task_result=result)
    labels = {"task": "screen_waiting", "status": "successful"}
    assert counted("leukemia_task_duration_seconds_count", **labels) == 1
    assert counted("leukemia_task_duration_seconds_sum", **labels) == pytest.approx(3)
    result.started_at = None
    observed.task_count(sender=None, task_result=result)
    assert counted("leukemia_task_duration_seconds_count", **labels) == 1


# --- Model servers and versions ----------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_circuits_show_at_once_and_when_asked(
    client: Client, predictor: FakePredictor, settings: Settings, clinician: User
) -> None:
    states = {"10.0.0.1:8501": "open", "10.0.0.2:8501": "closed"}
    predictor.circuit_states = lambda: states  # type: ignore[attr-defined]
    run_field(create_field(clinician, smear_jpeg()))
    gauge = "leukemia_circuit_state"
    assert REGISTRY.get_sample_value(gauge, {"address": "10.0.0.1:8501"}) == 2
    assert REGISTRY.get_sample_value(gauge, {"address": "10.0.0.2:8501"}) == 0
    settings.PREDICTOR_URL = "http://tfserving:8501/v1/models/all_smear"
    states["10.0.0.2:8501"] = "half-open"
    assert scrape(client)[gauge, "10.0.0.2:8501"] == 1
    del states["10.0.0.1:8501"]
    assert scrape(client)[gauge, "10.0.0.1:8501"] == 0, "gone, and no alarm"


@pytest.mark.django_db
def test_without_model_or_circuits_the_rest_is_told(
    client: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.PREDICTOR_URL = "http://tfserving:8501/v1/models/all_smear"
    settings.MODEL_STORE = tmp_path
    found = scrape(client)
    assert found["leukemia_database_up",] == 1
    assert not any(name == "leukemia_model_info" for name, *_ in found)


@pytest.mark.django_db
def test_live_versions_by_role(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.MODEL_STORE = tmp_path
    (tmp_path / "all_smear").mkdir()
    (tmp_path / "all_smear/live.json").write_text('{"stable": 3, "canary": 4, "previous": 2}')
    found = [key for key in scrape(client) if key[0] == "leukemia_model_info"]
    assert found == [
        ("leukemia_model_info", "all_smear", "stable", "3"),
        ("leukemia_model_info", "all_smear", "canary", "4"),
    ]


# --- The queue ---------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_queue_is_as_the_database_has_it(client: Client, clinician: User) -> None:
    now = timezone.now()
    rows: list[dict[str, Any]] = [
        {},
        {"next_attempt_at": now - timedelta(seconds=20)},
        {"next_attempt_at": now + timedelta(seconds=20)},
        {"lease_until": now + timedelta(seconds=20)},
        {"lease_until": now - timedelta(minutes=5)},
    ]
    for number, row in enumerate(rows):
        with clock_shifted(-timedelta(hours=1)):
            diagnosis = create_field(clinician, smear_jpeg(number))
        Diagnosis.objects.filter(pk=diagnosis.pk).update(**row)
    create_field(clinician, smear_jpeg(80))  # of the request that made it
    failed = create_field(clinician, smear_jpeg(90))
    Diagnosis.objects.filter(pk=failed.pk).move(Status.RECEIVED, Status.FAILED)
    found = scrape(client)
    assert found["leukemia_queue_fields", "due"] == 3
    assert found["leukemia_queue_fields", "waiting"] == 3
    assert found["leukemia_queue_oldest_due_seconds",] == pytest.approx(3600, abs=WITHIN_S)
    assert found["leukemia_failed_fields",] == 1
    assert found["leukemia_database_up",] == 1


def test_without_database_the_rest_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("diagnosis.operations.health._queue", lambda: None)
    found = scrape(client)
    assert found["leukemia_database_up",] == 0
    assert not any(name.startswith("leukemia_queue") for name, *_ in found)
    assert any(name == "leukemia_model_info" for name, *_ in found)


# --- Who may ask, and how ----------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_what_a_proxy_passes_on_is_refused(client: Client, header: str) -> None:
    response = client.get("/metrics", headers={header: "for=192.0.2.1"})
    assert response.status_code == 403
    assert "METRICS_TOKEN" in response.text
    assert "leukemia_" not in response.text


@pytest.mark.django_db
def test_with_a_token_everybody_needs_it(client: Client, settings: Settings) -> None:
    settings.METRICS_TOKEN = TOKEN
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN + "é"}):
        response = client.get("/metrics", headers=given)
        assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
        assert "leukemia_" not in response.text
    right = {"Authorization": f"Bearer {TOKEN}", "X-Forwarded-For": "192.0.2.1"}
    assert scrape(client, **right)


@pytest.mark.django_db
def test_prometheus_may_ask_for_openmetrics(client: Client) -> None:
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert response["Content-Type"].startswith("application/openmetrics-text")
    assert "leukemia_http_requests" in {family.name for family in openmetrics(response.text)}


# --- A worker alone ----------------------------------------------------------------------


def test_a_worker_alone_answers_on_its_port() -> None:
    port = free_port()
    metrics.serve_alone(port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert b"leukemia_task_duration_seconds" in answer.read()


@pytest.mark.parametrize(("port", "shared"), [(0, False), (9101, True)])
def test_and_otherwise_not(monkeypatch: pytest.MonkeyPatch, port: int, shared: bool) -> None:
    if shared:
        monkeypatch.setattr("webapp.telemetry.metrics.registry", CollectorRegistry)
    monkeypatch.setattr("webapp.telemetry.metrics._start_http_server", pytest.fail)
    metrics.serve_alone(port)


def test_what_a_dead_process_said_of_the_present_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from webapp.gunicorn_config import child_exit

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in ("gauge_livemax_17.db", "gauge_livemax_18.db", "counter_17.db"):
        (tmp_path / name).touch()
    child_exit(None, SimpleNamespace(pid=17))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "counter_17.db",
        "gauge_livemax_18.db",
    ]


def test_the_middleware_times_what_lies_below(
    rf: RequestFactory, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.http import HttpResponse

    monkeypatch.setattr(metrics, "perf_counter", iter([10.0, 13.5]).__next__)
    response = HttpResponse(status=201)
    assert metrics.MetricsMiddleware(lambda request: response)(rf.post("/x")) is response
    labels = {"method": "POST", "route": "none", "status": "201"}
    assert counted("leukemia_http_requests_total", **labels) == 1
    assert counted("leukemia_http_request_duration_seconds_sum", **labels) == 3.5
