"""Several fields in one call of the model, and waiting for a model that is away."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from numpy.typing import NDArray

from diagnosis.core import pipeline
from diagnosis.core.errors import (
    ContractError,
    ModelAwayError,
    ModelBusyError,
    ModelUnavailableError,
    PredictorError,
)
from diagnosis.core.predictors.base import Prediction
from diagnosis.core.state import Status
from diagnosis.fields import intake as services
from diagnosis.fields import screening
from diagnosis.fields.screening import BATCH
from diagnosis.models import ATTEMPTS_ALLOWED, Diagnosis
from diagnosis.storage.images import image_read
from diagnosis.storage.media import media_path
from tests.clock import clock_at
from tests.diagnosis.killed.steps import actions_of, create_field, make_due, run_field
from tests.diagnosis.made.pictures import FakePredictor, document_jpeg, smear_jpeg

pytestmark = pytest.mark.django_db


def deferred(actor: User, uploads: Sequence[bytes]) -> list[Diagnosis]:
    made = [services.diagnosis_create(actor=actor, upload=u, deferred=True) for u in uploads]
    return [diagnosis for diagnosis, _ in made]


def smears(count: int) -> list[bytes]:
    """Different uploads; what follows an image's end is no part of it."""
    return [smear_jpeg(number % 3) + str(number).encode() for number in range(count)]


def statuses() -> list[str]:
    return list(Diagnosis.objects.order_by("id").values_list("status", flat=True))


def test_a_batch_is_one_call_and_one_result_each(clinician: User, predictor: FakePredictor) -> None:
    fields = deferred(clinician, smears(5))
    assert screening.diagnoses_run_due() == 5
    assert predictor.calls == 1
    assert statuses() == [Status.SCREENED] * 5
    for field in fields:
        assert actions_of(field) == ["diagnosis.received", "diagnosis.screened"]
    assert screening.diagnoses_run_due() == 0


def test_a_batch_has_an_end(clinician: User, predictor: FakePredictor) -> None:
    deferred(clinician, smears(BATCH + 3))
    assert [screening.diagnoses_run_due() for _ in range(3)] == [BATCH, 3, 0]
    assert predictor.calls == 2


def test_each_answer_goes_to_its_own_field(
    clinician: User, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = deferred(clinician, [smear_jpeg(1), document_jpeg(), smear_jpeg(2), smear_jpeg(3)])

    def by_brightness(images: NDArray[np.uint8]) -> list[Prediction]:
        assert len(images) == 3
        return [Prediction((0.25,) * 4, float(image.mean()) / 256) for image in images]

    monkeypatch.setattr(predictor, "predict", by_brightness)
    screening.diagnoses_run_due()
    together = [Diagnosis.objects.get(pk=field.pk) for field in fields]
    assert [field.status for field in together] == ["screened", "refused", "screened", "screened"]
    scores = [field.ood_score for field in together if field.ood_score is not None]
    assert len(set(scores)) == 3
    expected = [
        pipeline.prepare(smear_jpeg(seed), predictor.contract).canonical.mean() / 256
        for seed in (1, 2, 3)
    ]
    assert scores == pytest.approx(expected)


def test_one_that_cannot_be_read_costs_the_others_nothing(
    clinician: User, predictor: FakePredictor
) -> None:
    _, second, _ = deferred(clinician, smears(3))
    media_path(second.image_name).unlink()
    assert screening.diagnoses_run_due() == 3
    assert statuses() == ["screened", "received", "screened"]
    second.refresh_from_db()
    assert second.next_attempt_at is not None
    assert second.lease_until is None


def test_one_that_the_model_chokes_on_costs_the_others_nothing(
    clinician: User, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = deferred(clinician, smears(4))
    poison = image_read(fields[2])
    bad = pipeline.prepare(poison, predictor.contract).canonical
    Diagnosis.objects.filter(pk=fields[2].pk).update(attempts_max=1)
    real, calls = predictor.predict, []

    def choke(images: NDArray[np.uint8]) -> list[Prediction]:
        calls.append(len(images))
        if any(np.array_equal(image, bad) for image in images):
            raise PredictorError("HTTP 400: bad image", permanent=False)
        return real(images)

    monkeypatch.setattr(predictor, "predict", choke)
    screening.diagnoses_run_due()
    # smears(4) draws numbers 0 and 3 from the same seed; number 2 is the only one of its seed.
    assert statuses() == ["screened", "screened", "failed", "screened"]
    assert calls == [4, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "error", [ModelAwayError("connection refused"), ModelBusyError("queue is full")]
)
def test_a_model_that_is_away_or_busy_costs_no_attempt(
    clinician: User, smear: bytes, predictor: FakePredictor, error: ModelUnavailableError
) -> None:
    diagnosis = create_field(clinician, smear)
    predictor.error = error
    for _ in range(3 * ATTEMPTS_ALLOWED):
        with clock_at(asked := timezone.now()):
            result = run_field(diagnosis)
        assert result.status == Status.RECEIVED
        assert result.lease_until is None
        assert (result.next_attempt_at - asked).total_seconds() == screening.WAIT_S
        make_due(diagnosis)
    predictor.error = PredictorError("HTTP 400", permanent=False)
    for _ in range(ATTEMPTS_ALLOWED):
        make_due(diagnosis)
        result = run_field(diagnosis)
    assert result.status == Status.FAILED


def test_while_the_model_is_away_what_waits_is_not_touched(
    clinician: User, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    deferred(clinician, smears(3))
    predictor.error = ModelAwayError("connection refused")
    assert screening.diagnoses_run_due() == 0
    assert set(Diagnosis.objects.values_list("attempts", "lease_until")) == {(0, None)}

    def none_live() -> None:
        raise ContractError("no version is live")

    with monkeypatch.context() as patch:
        patch.setattr("diagnosis.fields.live_model._current", none_live)
        assert screening.diagnoses_run_due() == 0
    predictor.error = None
    assert screening.diagnoses_run_due() == 3


@pytest.mark.parametrize(
    "error", [ModelAwayError("connection reset"), ModelBusyError("queue is full")]
)
def test_a_model_that_goes_away_or_is_busy_within_the_batch(
    clinician: User,
    predictor: FakePredictor,
    monkeypatch: pytest.MonkeyPatch,
    error: ModelUnavailableError,
) -> None:
    deferred(clinician, smears(3))
    predictor.error = error
    monkeypatch.setattr(predictor, "is_ready", lambda: True)
    assert screening.diagnoses_run_due() == 3
    assert predictor.calls == 1
    assert statuses() == ["received"] * 3
    waits = Diagnosis.objects.values_list("lease_until", "attempts", "attempts_max")
    assert set(waits) == {(None, 1, ATTEMPTS_ALLOWED + 1)}


def test_a_rejected_field_does_not_wait_for_a_model_that_is_away(
    clinician: User, predictor: FakePredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    deferred(clinician, [smear_jpeg(1), document_jpeg(), smear_jpeg(2)])
    predictor.error = ModelAwayError("connection reset")
    monkeypatch.setattr(predictor, "is_ready", lambda: True)
    screening.diagnoses_run_due()
    assert statuses() == ["received", "refused", "received"]


def test_a_deferred_field_is_due_at_once_and_one_of_a_request_is_not(
    clinician: User, predictor: FakePredictor
) -> None:
    services.diagnosis_create(actor=clinician, upload=smear_jpeg(1))
    deferred(clinician, [smear_jpeg(2)])
    assert screening.diagnoses_run_due() == 1
    assert statuses() == ["received", "screened"]


def test_what_another_worker_has_is_passed_over(clinician: User, predictor: FakePredictor) -> None:
    first, *_ = deferred(clinician, smears(3))
    assert screening.diagnosis_lease(diagnosis_id=first.pk) == 1
    assert screening.diagnoses_run_due() == 2
    assert statuses() == ["received", "screened", "screened"]


def test_a_late_batch_overwrites_nothing(clinician: User, predictor: FakePredictor) -> None:
    """Its leases ran out while the model was thinking, and another worker finished."""
    fields = deferred(clinician, smears(3))

    def another_finishes() -> None:
        predictor.during = lambda: None
        past = timezone.now() - timedelta(seconds=1)
        Diagnosis.objects.update(lease_until=past)
        predictor.probabilities = (0.97, 0.01, 0.01, 0.01)
        assert screening.diagnoses_run_due() == 3
        predictor.probabilities = (0.01, 0.01, 0.01, 0.97)

    predictor.during = another_finishes
    screening.diagnoses_run_due()
    assert set(Diagnosis.objects.values_list("predicted_class", "attempts")) == {("Benign", 2)}
    for field in fields:
        assert actions_of(field) == ["diagnosis.received", "diagnosis.screened"]
