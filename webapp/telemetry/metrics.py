"""What is counted, for Prometheus: the lowest layer, so that whatever happens can be counted.

No label ever stands for a person: routes by name, not by path. Where several processes share
the folder PROMETHEUS_MULTIPROC_DIR (``manage.py serve`` and gunicorn make a fresh one), whoever
is asked answers for all of them. What the database knows is read when asked
(``diagnosis.operations.health``).
"""

from collections.abc import Callable, Mapping
from time import perf_counter

from django.http import HttpRequest, HttpResponse
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client import start_http_server as _start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CIRCUIT_STATES = {"closed": 0, "half-open": 1, "open": 2}

HTTP_REQUESTS = Counter(
    "leukemia_http_requests",
    "Answered requests by method, name of the route, and status.",
    ["method", "route", "status"],
)
HTTP_DURATION = Histogram(
    "leukemia_http_request_duration_seconds",
    "Seconds until a request was answered.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
DIAGNOSES = Counter(
    "leukemia_diagnoses",
    "Finished fields by outcome (`failed` where there is none) and the version that answered.",
    ["outcome", "model_version"],
)
REFUSALS = Counter(
    "leukemia_refusals",
    "Input checks that refused a field; one field may fail several.",
    ["check"],
)
UPLOAD_REFUSALS = Counter(
    "leukemia_upload_refusals",
    "Uploads of which nothing was kept, by error code.",
    ["code"],
)
DAMAGED_FILES = Counter(
    "leukemia_damaged_files",
    "Readings of stored files that were missing, unreadable or changed, by `folder`: `fields`, "
    "`reports`.",
    ["folder"],
)
NOT_ADMITTED = Counter(
    "leukemia_not_admitted",
    "Requests that were never begun: `busy` and `storage_full` were answered 503, `gone` are those "
    "whose client had hung up when their turn came.",
    ["reason"],
)
MODEL_DURATION = Histogram(
    "leukemia_model_call_duration_seconds",
    "Seconds of one call of the model: `embedded` or `tf_serving`; `ok`, `busy` or `transient` "
    "(asked again later) or `permanent`.",
    ["kind", "result"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
TASK_DURATION = Histogram(
    "leukemia_task_duration_seconds",
    "Seconds of one background task, by name and final status.",
    ["task", "status"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
CIRCUIT_STATE = Gauge(
    "leukemia_circuit_state",
    "Circuit to a model server: 0 closed, 1 half-open, 2 open; the worst of all processes.",
    ["address"],
    multiprocess_mode="livemax",
)

_addresses: set[str] = set()


def circuits_show(states: Mapping[str, str]) -> None:
    """Show the state of this process's circuits: ``closed``, ``half-open`` or ``open`` by address.

    An address that is no longer used shows as closed, so that it alarms nobody for ever.
    """
    for address in _addresses - states.keys():
        CIRCUIT_STATE.labels(address).set(0)
    _addresses.update(states)
    for address, state in states.items():
        CIRCUIT_STATE.labels(address).set(_CIRCUIT_STATES.get(state, 2))


def registry() -> CollectorRegistry:
    """What all processes that share a folder have counted, else this one."""
    shared = CollectorRegistry()
    try:
        MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
    except ValueError:  # there is no folder
        return REGISTRY
    return shared


def serve_alone(port: int) -> None:
    """Answer on ``port`` what this process counts, unless the web server sees it in the folder.

    For a worker in a container of its own. 0 answers nowhere.
    """
    if port and registry() is REGISTRY:
        _start_http_server(port)


class MetricsMiddleware:
    """Counts and times every request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Handle one request; what the views raise is an answer by now."""
        began = perf_counter()
        response = self.get_response(request)
        method = request.method if request.method in _METHODS else "other"
        match = request.resolver_match
        labels = (method, match.view_name if match else "none", str(response.status_code))
        HTTP_REQUESTS.labels(*labels).inc()
        HTTP_DURATION.labels(*labels).observe(perf_counter() - began)
        return response
