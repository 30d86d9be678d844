"""Metrics, log and traces of the running product: several web processes and the worker."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.diagnosis.made.pictures import document_jpeg, smear_jpeg
from tests.product import KEY, ROOT, Product, clean_environment, prepared_product
from tests.waiting import WITHIN_S, wait_until
from tests.webapp.telemetry.collector import Collector

pytestmark = pytest.mark.xdist_group("observed")

NAME, RECORD, ACCESSION, FILE = "Quentin Zweig", "MRN-731-Q", "ACC-2931-Z", "zweig_quentin_7.jpg"
NEEDLES = ["Quentin", "Zweig", "zweig", RECORD, "ACC-", "curious/1.0"]
GUNICORN = (
    f"exec {sys.executable} -m gunicorn -c python:webapp.gunicorn_config -w 2 -b 127.0.0.1:$PORT"
)


@dataclass
class Seen:
    """What was left of one run of the product.

    Attributes:
        scrapes: answers of /metrics to several connections, at rest.
        log: everything that was printed.
        left: what lay in the folder for temporary files afterwards.
    """

    product: Product
    collector: Collector
    scrapes: list[dict[tuple[str, ...], float]] = field(default_factory=list)
    log: str = ""
    left: list[str] = field(default_factory=list)


def ask(url: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """One request on a connection of its own."""
    request = urllib.request.Request(
        url, body, {"Connection": "close", "User-Agent": "curious/1.0", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=WITHIN_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def scrape(product: Product) -> dict[tuple[str, ...], float]:
    """Samples of /metrics by name and label values, those of scraping itself left out."""
    status, text = ask(f"{product.url}/metrics")
    assert status == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if "metrics" not in sample.labels.values()
    }


def post(product: Product, token: str, address: str, **members: Any) -> int:
    headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
    return ask(product.url + address, json.dumps(members).encode(), **headers)[0]


def post_image(product: Product, token: str, image: bytes) -> int:
    """A form with the person's specimen and file name."""
    form = b"".join(
        b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part
        for part in (
            (b"specimen", ACCESSION.encode()),
            (b'image"; filename="' + FILE.encode(), image),
        )
    )
    headers = {
        "Authorization": f"Token {token}",
        "Content-Type": "multipart/form-data; boundary=edge",
    }
    return ask(f"{product.url}/api/diagnose", form + b"--edge--\r\n", **headers)[0]


def use(product: Product, token: str, live: Path) -> None:
    """What people do in a day: with a model that is away at first, and with mistakes."""
    person = {"medical_record_number": RECORD, "name": NAME, "sex": "unknown"}
    assert post(product, token, "/api/patients", **person) == 201
    assert post(product, token, "/api/patients", **person) == 400
    specimen = {"accession_number": ACCESSION, "patient": 1}
    assert post(product, token, "/api/specimens", **specimen) == 201
    assert post_image(product, token, smear_jpeg(1)) == 202, "no version is live: the worker's"
    live.write_text(json.dumps({"stable": int(max(p.name for p in live.parent.iterdir()))}))
    for seed in range(2, 8):
        assert post_image(product, token, smear_jpeg(seed)) == 201
    assert post_image(product, token, document_jpeg()) == 422
    assert post_image(product, token, smear_jpeg()[:2000]) == 422
    for address in (f"/specimens/{ACCESSION}/edit?q=Zweig", f"/{FILE}", f"/api/patients/{RECORD}"):
        ask(product.url + address)
    for line in (b"GET /patients/?q=Quentin Zweig HTTP/1.1", b"Quentin-Zweig: \x00"):
        with socket.create_connection(("127.0.0.1", product.port)) as raw:
            raw.sendall(line + b"\r\nHost: x\r\n\r\n")
            assert raw.recv(100).startswith(b"HTTP/1.1 400")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The product with everything on, used, scraped, and ended."""
    root = prepared_product(tmp_path_factory.mktemp("observed"))
    store, temporary = root / "store/all_smear", root / "temporary"
    temporary.mkdir()
    store.mkdir(parents=True)
    newest = max((ROOT / "serving/models/all_smear").glob("[0-9]*"), key=lambda p: int(p.name))
    (store / newest.name).symlink_to(newest)
    with Collector() as collector:
        variables = {
            "DEMO_PASSWORD": secrets.token_urlsafe(12),
            "LOG_FORMAT": "json",
            "MODEL_STORE": str(store.parent),
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "TMPDIR": str(temporary),
            "TRACES_URL": collector.url,
        }
        with Product(root, variables) as product:
            product.wait_until_ready()
            seen = Seen(product, collector)
            use(product, token_of(root), store / "live.json")
            worked = ("leukemia_task_duration_seconds_count", "successful", "screen_waiting")
            wait_until(lambda: scrape(product).get(worked))
            wait_until(lambda: scrape(product).get(("leukemia_queue_fields", "waiting")) == 0)
            seen.scrapes = [scrape(product) for _ in range(8)]
            collector.wait_for("diagnosis.screen", "leukemia-worker")
            ask(f"{product.url}/healthz")
            wait_until(lambda: product.log.read_text().rstrip().endswith("}"))
        seen.log = product.log.read_text()
        seen.left = [path.name for path in temporary.iterdir()]
        yield seen


def token_of(root: Path) -> str:
    """The demonstration user's API token."""
    return subprocess.run(
        [sys.executable, "manage.py", "api_token", "demo"],
        cwd=root,
        env=clean_environment(SECRET_KEY=KEY),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]


# --- Metrics -----------------------------------------------------------------------------


def test_whichever_process_is_asked_answers_for_all(seen: Seen) -> None:
    for one in seen.scrapes:
        assert one["leukemia_http_requests_total", "POST", "api_diagnose", "201"] == 6
        assert one["leukemia_http_requests_total", "POST", "api_diagnose", "202"] == 1
        assert one["leukemia_upload_refusals_total", "damaged_image"] == 1
        assert one["leukemia_diagnoses_total", outcome_label(one), "rejected"] == 1
        assert one["leukemia_queue_fields", "due"] == 0
        assert one["leukemia_database_up",] == 1
    assert all(one == seen.scrapes[0] for one in seen.scrapes)


def outcome_label(samples: dict[tuple[str, ...], float]) -> str:
    """The version that answered."""
    (version,) = {key[1] for key in samples if key[0] == "leukemia_diagnoses_total"}
    return version


def test_what_the_worker_did_is_counted_too(seen: Seen) -> None:
    last = seen.scrapes[-1]
    finished = sum(n for key, n in last.items() if key[0] == "leukemia_diagnoses_total")
    assert finished == 8, "six by requests, one refused, and the one that waited"
    calls = ("leukemia_model_call_duration_seconds_count", "embedded", "ok")
    assert last[calls] == 7


def test_metrics_name_no_person(seen: Seen) -> None:
    text = str(seen.scrapes)
    assert [needle for needle in NEEDLES if needle in text] == []


def test_the_shared_folder_goes_with_the_product(seen: Seen) -> None:
    assert seen.left == []


# --- Log ---------------------------------------------------------------------------------


def entries(seen: Seen) -> list[dict[str, Any]]:
    """What web server and worker logged; `serve` itself talks to whoever started it."""
    _, _, served = seen.log.partition("(stop with Ctrl-C)\n")
    # The model's runtime says on which processor it runs, past Python's logging.
    lines = [line for line in served.splitlines() if not line.startswith("INFO: Created Tensor")]
    return [json.loads(line) for line in lines]


def test_every_line_is_an_entry(seen: Seen) -> None:
    found = entries(seen)
    assert {"gunicorn.error", "gunicorn.access", "django.request", "django_tasks"} <= {
        entry["logger"] for entry in found
    }
    for entry in found:
        assert {"timestamp", "level", "logger", "message", "request_id"} <= entry.keys(), entry


def test_access_lines_have_fields_and_lead_to_the_request(seen: Seen) -> None:
    found = [e for e in entries(seen) if e["logger"] == "gunicorn.access"]
    missing = next(e for e in found if e["path"] == "/specimens/…/edit")
    assert (missing["method"], missing["status"]) == ("GET", 302)
    assert missing["seconds"] > 0
    assert re.fullmatch("[0-9a-f]{32}", missing["request_id"])
    assert re.fullmatch("[0-9a-f]{32}", missing["trace_id"])
    waited = next(e for e in entries(seen) if "attempt 1" in e["message"])
    (access,) = [e for e in found if e["request_id"] == waited["request_id"]]
    assert access["trace_id"] == waited["trace_id"]


def test_no_line_names_a_person(seen: Seen) -> None:
    assert seen.log.count("Invalid request from ip=127.0.0.1: malformed") == 2
    assert [needle for needle in NEEDLES if needle in seen.log] == []


# --- Traces ------------------------------------------------------------------------------


def test_a_request_is_one_trace(seen: Seen) -> None:
    spans = [span for service, span in seen.collector.all() if service == "leukemia-web"]
    attributes = Collector.attributes
    request = next(
        s
        for s in spans
        if s.name == "POST api/diagnose" and attributes(s)["http.status_code"] == 201
    )
    family = {s.name: s for s in spans if s.trace_id == request.trace_id}
    screen = family["diagnosis.screen"]
    assert not request.parent_span_id
    assert screen.parent_span_id == request.span_id
    prepare, predict = family["diagnosis.prepare"], family["diagnosis.predict"]
    for step in (prepare, predict):
        assert step.parent_span_id == screen.span_id
        assert screen.start_time_unix_nano <= step.start_time_unix_nano
    assert attributes(screen) == {"diagnosis.fields": 1}
    assert attributes(prepare).keys() == {"diagnosis.id", "diagnosis.accepted"}
    assert attributes(predict).keys() == {"diagnosis.fields", "model.name", "model.version"}
    logged = [e for e in entries(seen) if e.get("trace_id") == request.trace_id.hex()]
    assert {e["request_id"] for e in logged} == {attributes(request)["request.id"]}


def test_probes_are_no_spans_and_others_are_named_by_route(seen: Seen) -> None:
    names = {span.name for service, span in seen.collector.all() if service == "leukemia-web"}
    assert "GET specimens/<str:accession>/edit" in names
    assert not [name for name in names if "healthz" in name or "metrics" in name]


def test_what_the_worker_does_is_a_trace_of_its_own(seen: Seen) -> None:
    spans = {
        span.name: span for service, span in seen.collector.all() if service == "leukemia-worker"
    }
    screen, prepare = spans["diagnosis.screen"], spans["diagnosis.prepare"]
    assert not screen.parent_span_id
    assert prepare.parent_span_id == screen.span_id
    assert Collector.attributes(prepare)["diagnosis.id"] == 1


def test_traces_name_no_person(seen: Seen) -> None:
    sent = b"".join(seen.collector.bodies)
    assert len(sent) > 1000
    assert [needle for needle in NEEDLES if needle.encode() in sent] == []
    assert b"patients/?" not in sent


# --- gunicorn alone, as in a container ---------------------------------------------------


def test_gunicorn_alone_makes_and_removes_the_shared_folder(seen: Seen) -> None:
    """Also when one of its processes is replaced."""
    root, temporary = seen.product.root, seen.product.root / "alone"
    temporary.mkdir()
    with Product(root, {"TMPDIR": str(temporary)}, ["/bin/sh", "-c", GUNICORN]) as product:
        product.wait_until_ready()
        (folder,) = temporary.glob("leukemia-metrics-*")
        for _ in range(20):
            ask(f"{product.url}/login")
        count = ("leukemia_http_requests_total", "GET", "login", "200")
        assert {scrape(product)[count] for _ in range(6)} == {20.0}
        pids = {int(re.sub(r"\D", "", path.name)) for path in folder.glob("counter_*.db")}
        assert len(pids) == 2
        os.kill(min(pids), signal.SIGKILL)
        wait_until(lambda: "was sent SIGKILL" in product.log.read_text())
        ask(f"{product.url}/login")
        assert {scrape(product)[count] for _ in range(6)} == {21.0}
    assert not folder.exists()


def test_gunicorn_refuses_a_wrong_setting_in_a_sentence(seen: Seen) -> None:
    with Product(seen.product.root, {"LOG_FORMAT": "xml"}, ["/bin/sh", "-c", GUNICORN]) as product:
        with contextlib.suppress(subprocess.TimeoutExpired):
            product.process.wait(timeout=WITHIN_S)
        assert product.process.returncode == 1
    assert re.fullmatch(r"Configuration: .*LOG_FORMAT.*line, json.*\n", product.log.read_text())
