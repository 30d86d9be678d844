"""What is measured of screening: spans, durations, results. Nothing here changes a result."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from time import perf_counter
from typing import Any

from django.conf import settings
from django.utils import timezone
from django_tasks import TaskResult

from diagnosis.core import decoding, pipeline
from diagnosis.core.environment import EMBEDDED
from diagnosis.core.errors import ModelBusyError, PredictorError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.base import Predictor
from diagnosis.core.state import Status
from webapp.telemetry import metrics
from webapp.telemetry.tracing import span


def prepare(data: bytes, contract: ModelContract, *, diagnosis_id: int) -> pipeline.Prepared:
    """``decoding.prepare`` as a span."""
    with span("diagnosis.prepare", diagnosis__id=diagnosis_id) as current:
        prepared = decoding.prepare(data, contract)
        current.set_attribute("diagnosis.accepted", prepared.validation.accepted)
    return prepared


def conclude(fields: Sequence[pipeline.Prepared], predictor: Predictor) -> list[pipeline.Outcome]:
    """``pipeline.conclude`` by ``predictor`` as a span, and how long the model took."""
    contract = predictor.contract
    with span(
        "diagnosis.predict",
        diagnosis__fields=len(fields),
        model__name=contract.name,
        model__version=contract.version,
    ):
        asked = any(field.validation.accepted for field in fields)
        try:
            with _model_call() if asked else nullcontext():
                return pipeline.conclude(fields, contract, predictor)
        finally:
            circuits_show(predictor)


def circuits_show(predictor: Predictor) -> None:
    """Show the circuits of a predictor that has some."""
    states = getattr(predictor, "circuit_states", None)
    if states is not None:
        metrics.circuits_show(states())


def result_count(to: Status, fields: Mapping[str, Any]) -> None:
    """Count a diagnosis that was moved to ``to`` with the columns ``fields``."""
    if to in (Status.SCREENED, Status.REFUSED):
        metrics.DIAGNOSES.labels(fields["outcome"], fields["model_version"]).inc()
    elif to == Status.FAILED:
        metrics.DIAGNOSES.labels("failed", "").inc()
    if to == Status.REFUSED:
        for check in fields["validation"]["checks"]:
            if not check["passed"]:
                metrics.REFUSALS.labels(check["name"]).inc()


def task_count(sender: object, task_result: TaskResult, **kwargs: Any) -> None:
    """Receiver of ``task_finished``: any backend, any task."""
    if task_result.started_at is None:
        return
    ended = task_result.finished_at or timezone.now()
    metrics.TASK_DURATION.labels(task_result.task.name, task_result.status.lower()).observe(
        max(0.0, (ended - task_result.started_at).total_seconds())
    )


@contextmanager
def _model_call() -> Iterator[None]:
    kind = "embedded" if settings.PREDICTOR_URL == EMBEDDED else "tf_serving"
    began, result = perf_counter(), "permanent"
    try:
        yield
        result = "ok"
    except ModelBusyError:
        result = "busy"
        raise
    except PredictorError as error:
        result = "permanent" if error.permanent else "transient"
        raise
    finally:
        metrics.MODEL_DURATION.labels(kind, result).observe(perf_counter() - began)
