import io
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from pytest_django import Settings

from diagnosis.core.errors import ModelAwayError, PredictorError
from diagnosis.core.predictors.store import Live, live_path
from diagnosis.fields.shadow import shadow_agreement, shadow_run
from diagnosis.models import Diagnosis, ShadowAnswer
from tests.clock import clock_shifted
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import (
    BENIGN,
    FakePredictor,
    document_jpeg,
    live,
    make_contract,
    smear_jpeg,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def stable() -> FakePredictor:
    return FakePredictor(make_contract(version=7, digest="c" * 64))


@pytest.fixture
def candidate(
    stable: FakePredictor, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> FakePredictor:
    """Version 8, in shadow mode beside version 7."""
    candidate = FakePredictor(make_contract(version=8, digest="f" * 64))
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(stable, candidate))
    settings.SHADOW = True
    settings.MODEL_STORE = tmp_path
    path = live_path(tmp_path, settings.MODEL_NAME)
    path.parent.mkdir()
    path.write_bytes(Live(7, canary=8).to_json())
    return candidate


def screened(actor: User, *uploads: bytes) -> list[Diagnosis]:
    return [run_field(create_field(actor, upload)) for upload in uploads]


def test_the_candidate_is_asked_and_changes_nothing(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    candidate.probabilities = BENIGN
    first, second = screened(clinician, smear_jpeg(1), document_jpeg())
    before = Diagnosis.objects.values()
    assert shadow_run() == 2
    answers = {answer.diagnosis_id: answer for answer in ShadowAnswer.objects.all()}
    answer = answers[first.pk]
    assert (answer.model_version, answer.model_digest) == (8, "f" * 64)
    assert (answer.outcome, answer.predicted_class) == ("not_suspicious", "Benign")
    assert list(answer.probabilities.values()) == list(BENIGN)
    assert (answers[second.pk].outcome, answers[second.pk].probabilities) == ("rejected", None)
    assert list(Diagnosis.objects.values()) == list(before)
    assert first.predicted_class == "Malignant Pre-B"


def test_each_field_is_looked_at_once(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    screened(clinician, smear_jpeg(1), smear_jpeg(2))
    assert [shadow_run(limit=1) for _ in range(3)] == [1, 1, 0]
    screened(clinician, smear_jpeg(3))
    assert shadow_run() == 1
    assert candidate.calls == 3
    assert ShadowAnswer.objects.count() == 3


def test_fields_from_before_the_trial_are_left_alone(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    with clock_shifted(-timedelta(days=1)):
        screened(clinician, smear_jpeg(1))
    (new,) = screened(clinician, smear_jpeg(2))
    assert shadow_run() == 1
    assert ShadowAnswer.objects.get().diagnosis == new


def test_two_workers_at_once_keep_one_answer(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    screened(clinician, smear_jpeg(1))

    def another() -> None:
        candidate.during = lambda: None
        assert shadow_run() == 1

    candidate.during = another
    shadow_run()
    assert ShadowAnswer.objects.count() == 1


def test_a_candidate_that_is_away_is_asked_later(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    screened(clinician, smear_jpeg(1))
    candidate.error = ModelAwayError("connection refused")
    assert shadow_run() == 0
    candidate.error = None
    assert shadow_run() == 1


def test_a_candidate_that_fails_is_counted(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    screened(clinician, smear_jpeg(1))
    candidate.error = PredictorError("HTTP 400", permanent=False)
    assert shadow_run() == 1
    assert ShadowAnswer.objects.get().outcome == "failed"
    assert shadow_run() == 0


@pytest.mark.parametrize("why", ["not asked for", "no candidate"])
def test_without_shadow_mode_nobody_is_asked(
    why: str,
    clinician: User,
    stable: FakePredictor,
    candidate: FakePredictor,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screened(clinician, smear_jpeg(1))
    if why == "not asked for":
        settings.SHADOW = False
    else:
        monkeypatch.setattr("diagnosis.fields.live_model._current", live(stable))
    assert shadow_run() == 0
    assert candidate.calls == 0


def test_the_report_counts_and_lists_what_would_change(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    screened(clinician, *(smear_jpeg(seed) for seed in range(1, 4)), document_jpeg())
    shadow_run()
    candidate.probabilities = BENIGN
    (changed,) = screened(clinician, smear_jpeg(5))
    shadow_run()
    (found,) = shadow_agreement()
    assert (found.version, found.changed) == (8, [changed.pk])
    assert found.outcomes == {
        ("suspicious", "suspicious"): 3,
        ("rejected", "rejected"): 1,
        ("suspicious", "not_suspicious"): 1,
    }
    text = report()
    assert "same outcome   4 of 5 (80.0%)" in text
    assert "same class     3 of 4 (75.0%), Cohen's kappa 0.000" in text
    assert "suspicious -> not_suspicious: 1" in text
    assert f"diagnoses: {changed.pk}\n" in text


def test_the_report_says_how_far_classes_agree_beyond_chance(
    clinician: User, stable: FakePredictor, candidate: FakePredictor
) -> None:
    screened(clinician, smear_jpeg(1), smear_jpeg(2))
    shadow_run()
    assert "2 of 2 (100.0%), Cohen's kappa undefined" in report()
    malignant, stable.probabilities, candidate.probabilities = stable.probabilities, BENIGN, BENIGN
    screened(clinician, smear_jpeg(3))
    shadow_run()
    candidate.probabilities = malignant
    screened(clinician, smear_jpeg(4))
    shadow_run()
    # Three of four agree; by chance it would be (2 · 3 + 2 · 1) / 16, one half.
    assert "3 of 4 (75.0%), Cohen's kappa 0.500" in report()


def test_the_report_without_answers_says_how_to_begin() -> None:
    assert "python -m export canary N" in report()


def report() -> str:
    out = io.StringIO()
    call_command("shadow_report", stdout=out)
    return out.getvalue()
