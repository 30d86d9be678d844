"""Whether the process lives, whether it can do its work, and how much of it there is."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import resolve
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from diagnosis.core.environment import EMBEDDED
from diagnosis.core.errors import ContractError
from diagnosis.core.predictors.store import read_live
from diagnosis.fields.instrumentation import circuits_show
from diagnosis.fields.live_model import stable_predictor
from diagnosis.fields.selectors import QueueState, queue_state
from diagnosis.statistics.inputs import POPULATIONS, Inputs, inputs
from diagnosis.storage.media import disk_has_room, media_is_writable, media_path
from webapp.telemetry import metrics as counted

ANSWER_WITHIN_S = 0.8  # of the database; whoever probes gives up after about a second
QUEUE_MOVES_WITHIN_S = 120.0

DRIFT_HOLDS_S = 60.0  # for which drift is not computed again

PROBES = ("/healthz", "/readyz", "/metrics")

_database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="probe")
_lock = threading.Lock()
_asked: "Future[QueueState] | None" = None
# In a thread of its own: it takes longer than a probe, which must not wait behind it.
_statistician = ThreadPoolExecutor(max_workers=1, thread_name_prefix="drift")
_drift_asked: "Future[dict[str, Inputs]] | None" = None
_drift_since = 0.0


class ProbesMiddleware:
    """Answers probes and scrapers ahead of sign-in and of the check of the host name: they call
    by the address of a machine, and no answer depends on what it is called."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer, or pass the request on."""
        if request.path_info not in PROBES:
            return self.get_response(request)
        request.resolver_match = resolve(request.path_info)
        response: HttpResponse = request.resolver_match.func(request)
        return response


def healthz(request: HttpRequest) -> JsonResponse:
    """Liveness: this process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Readiness: 503 only when database or storage fail or are full; 200 ``degraded`` without a
    model or with a queue that stands still, because uploads must still be accepted."""
    queue = _queue()
    vital = {"database": _database_state(queue), "storage": _storage_state()}
    others = {"model": _model(), "worker": _worker(queue)}
    if set(vital.values()) != {"ok"}:
        status = "unavailable"
    else:
        status = "ok" if set(others.values()) == {"ok"} else "degraded"
    code = 503 if status == "unavailable" else 200
    return JsonResponse({"status": status, **vital, **others}, status=code)


def metrics(request: HttpRequest) -> HttpResponse:
    """Everything counted, for Prometheus; nothing about persons.

    With METRICS_TOKEN only to who sends it; without, only to who asks directly, because what
    a proxy passes on may come from anywhere.
    """
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "").encode()
        if not secrets.compare_digest(given, f"Bearer {settings.METRICS_TOKEN}".encode()):
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    elif any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "Via")):
        return HttpResponse(
            "Ask this address directly, or set METRICS_TOKEN.\n", "text/plain", status=403
        )
    scrape = CollectorRegistry()
    scrape.register(_Scrape())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(scrape), content_type=content_type)


class _Scrape(Collector):
    """What the processes have counted, and what database and model store say at this moment."""

    def collect(self) -> Iterator[Metric]:
        """All metrics of one answer."""
        _circuits()
        yield from counted.registry().collect()
        yield from _queue_metrics(queue := _queue())
        if queue is not None:
            yield from _drift_metrics(_drift())
        yield _model_metric()


def _queue() -> QueueState | None:
    """The queue, or ``None`` if the database does not answer in time.

    Asked in a thread, because a server that is cut off holds whoever calls it for longer than
    any probe waits. One question at a time: while it hangs, everybody waits for that one.
    """
    global _asked
    with _lock:
        if _asked is None or _asked.done():
            _asked = _database.submit(_ask)
        asked = _asked
    try:
        return asked.result(timeout=ANSWER_WITHIN_S)
    except (TimeoutError, DatabaseError):
        return None


def _ask() -> QueueState:
    try:
        return queue_state()
    finally:
        connection.close()


def _drift() -> dict[str, Inputs]:
    """Inputs against the training data by population; none if the database is not in time.

    What was found holds for a minute, so that scrapes cost little.
    """
    global _drift_asked, _drift_since
    with _lock:
        stale = time.monotonic() - _drift_since > DRIFT_HOLDS_S
        if _drift_asked is None or (_drift_asked.done() and stale):
            _drift_asked, _drift_since = _statistician.submit(_ask_drift), time.monotonic()
        asked = _drift_asked
    try:
        return asked.result(timeout=ANSWER_WITHIN_S)
    except (TimeoutError, DatabaseError):
        return {}


def _ask_drift() -> dict[str, Inputs]:
    try:
        found = {name: inputs(name) for name in POPULATIONS}
    finally:
        connection.close()
    return {name: one for name, one in found.items() if one is not None and one.enough}


def _database_state(queue: QueueState | None) -> str:
    """SQLite's file lies on a disk of this machine, which may be full."""
    if queue is None:
        return "unreachable"
    file = Path(str(connection.settings_dict["NAME"]))
    if connection.vendor == "sqlite" and file.is_absolute() and not disk_has_room(file.parent):
        return "full"
    return "ok"


def _storage_state() -> str:
    if not media_is_writable():
        return "not writable"
    return "ok" if disk_has_room(media_path("")) else "full"


def _model() -> str:
    try:
        available = stable_predictor().is_available()
    except ContractError:
        return "no version is live"
    return "ok" if available else "away"


def _worker(queue: QueueState | None) -> str:
    if queue is None:
        return "unknown"
    return "ok" if queue.oldest_due_s <= QUEUE_MOVES_WITHIN_S else "the queue stands still"


def _circuits() -> None:
    """Bring this process's circuits up to date; a network of its own is not loaded for that."""
    if settings.PREDICTOR_URL == EMBEDDED:
        return
    try:
        circuits_show(stable_predictor())
    except ContractError:  # the version metric says so
        return


def _queue_metrics(queue: QueueState | None) -> Iterator[Metric]:
    yield _gauge("leukemia_database_up", "Whether the database answers.", float(queue is not None))
    if queue is None:
        return
    depth = GaugeMetricFamily(
        "leukemia_queue_fields",
        "Unfinished fields: `due` for a worker; `waiting`: worked on, or for the next attempt.",
        labels=["state"],
    )
    depth.add_metric(["due"], queue.due)
    depth.add_metric(["waiting"], queue.waiting)
    yield depth
    yield _gauge(
        "leukemia_queue_oldest_due_seconds",
        "How long the longest waiting field has been due.",
        queue.oldest_due_s,
    )
    yield _gauge("leukemia_failed_fields", "Fields that were given up.", queue.failed)


def _drift_metrics(found: dict[str, Inputs]) -> Iterator[Metric]:
    """Distance and level of each statistic; nothing while too few fields are there to judge."""
    labels = ["statistic", "inputs", "version"]
    distance = GaugeMetricFamily(
        "leukemia_input_drift",
        "Distance (Kolmogorov-Smirnov, 0 to 1) of the newest fields from the training fields: "
        "`decoded` are all, `accepted` those that passed the input checks.",
        labels=labels,
    )
    level = GaugeMetricFamily(
        "leukemia_input_drift_level",
        "What the distance means: 0 nothing, 1 watch, 2 drift.",
        labels=labels,
    )
    for population, one in found.items():
        for drift in one.drifts:
            if drift.distance is not None:
                values = [drift.statistic, population, str(one.version)]
                distance.add_metric(values, drift.distance)
                level.add_metric(values, drift.level)
    yield distance
    yield level


def _model_metric() -> Metric:
    """One sample a live version; none is live, none is shown."""
    live = GaugeMetricFamily(
        "leukemia_model_info",
        "Model versions that are live, by role.",
        labels=["name", "version", "role"],
    )
    try:
        found = read_live(settings.MODEL_STORE, settings.MODEL_NAME)
    except ContractError:
        return live
    for role, version in (("stable", found.stable), ("canary", found.canary)):
        if version is not None:
            live.add_metric([settings.MODEL_NAME, str(version), role], 1)
    return live


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return GaugeMetricFamily(name, documentation, value=value)
