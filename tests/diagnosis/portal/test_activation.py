"""The activation map: of the version that answered, and only if its maps passed their check."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django import Settings

from diagnosis.core.errors import ModelAwayError, ModelBusyError, ModelUnavailableError
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import CONTRACT_FILE
from diagnosis.core.imaging.heatmap import heat_map
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.predictors.store import Live, live_path, version_dir
from diagnosis.fields.live_model import stable_predictor
from diagnosis.fields.screening import diagnosis_run
from diagnosis.models import Diagnosis
from diagnosis.storage.media import media_path, media_read
from patients.models import Specimen
from tests.diagnosis.made.pictures import smear_jpeg
from tests.diagnosis.portal import records
from tests.passing_store import NAME, PUBLISHED, make_passing_store, write_saliency
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Path:
    settings.MODEL_STORE = make_passing_store(tmp_path / "models")
    return settings.MODEL_STORE


@pytest.fixture
def diagnosis(store: Path, clinician: User, specimen: Specimen) -> Diagnosis:
    """A drawn field that the published network screened."""
    return screen(clinician, specimen)


def screen(clinician: User, specimen: Specimen, seed: int = 1) -> Diagnosis:
    upload = smear_jpeg(seed, 480, 640)
    diagnosis = records.received(clinician, specimen, upload)
    diagnosis = diagnosis_run(diagnosis_id=diagnosis.pk)
    assert diagnosis.status == "screened"
    return diagnosis


def address(diagnosis: Diagnosis) -> str:
    return f"/diagnoses/{diagnosis.pk}/activation"


def shown(client: Client, diagnosis: Diagnosis) -> str:
    return client.get(f"/diagnoses/{diagnosis.pk}").content.decode()


def test_the_map_is_what_the_version_says_of_this_very_field(
    client_signed_in: Client, diagnosis: Diagnosis
) -> None:
    answer = client_signed_in.get(address(diagnosis))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, no-store"
    picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == (168, 224, 4)
    predictor = stable_predictor()
    rgb = decode(media_read(diagnosis.image_name, diagnosis.image_sha256)).rgb
    explanation = predictor.explain(preprocess(rgb, predictor.contract))
    assert answer.content == heat_map(explanation.activation, 640, 480)
    assert explanation.activation.any()
    assert max(explanation.prediction.probabilities) == pytest.approx(diagnosis.confidence)


def test_it_is_offered_on_the_page_and_its_reading_is_audited(
    client_signed_in: Client, clinician: User, diagnosis: Diagnosis
) -> None:
    page = shown(client_signed_in, diagnosis)
    assert f'data-src="{address(diagnosis)}"' in page
    assert "No activation map" not in page
    client_signed_in.get(address(diagnosis))
    event = AuditEvent.objects.latest("id")
    assert (event.action, event.actor) == ("diagnosis.image_viewed", clinician)
    assert event.detail == {"size": "activation"}


@pytest.mark.parametrize(
    ("saliency", "why"),
    [
        ({"passed": False}, "did not pass their check with randomised weights"),
        ({"passed": "yes"}, "did not pass their check"),
        (None, "nobody has checked"),
        ({}, "nobody has checked"),
    ],
)
def test_a_version_whose_maps_did_not_pass_shows_none_and_says_why(
    client_signed_in: Client, store: Path, diagnosis: Diagnosis, saliency: object, why: str
) -> None:
    from diagnosis.fields.activation import _saliency_passed

    write_saliency(version_dir(store, NAME, diagnosis.model_version or 0), saliency)
    _saliency_passed.cache_clear()  # in the product a card changes with its version alone
    answer = client_signed_in.get(address(diagnosis))
    assert answer.status_code == 404
    assert why in answer.content.decode()
    page = shown(client_signed_in, diagnosis)
    assert why in page
    assert "data-viewer-map" not in page
    assert 'data-key="o"' not in page
    assert not AuditEvent.objects.filter(detail={"size": "activation"}).exists()


def test_the_published_version_s_maps_are_hidden(
    client_signed_in: Client, clinician: User, specimen: Specimen, settings: Settings
) -> None:
    settings.MODEL_STORE = PUBLISHED
    diagnosis = screen(clinician, specimen)
    assert client_signed_in.get(address(diagnosis)).status_code == 404
    assert "did not pass their check" in shown(client_signed_in, diagnosis)


def test_another_digest_of_the_same_number_explains_nothing(
    client_signed_in: Client, clinician: User, specimen: Specimen, store: Path
) -> None:
    stranger = records.screened(clinician, specimen)
    assert client_signed_in.get(address(stranger)).status_code == 404
    assert "is not loaded any more" in shown(client_signed_in, stranger)


def test_the_version_before_still_explains_its_answers_and_one_before_that_does_not(
    client_signed_in: Client, clinician: User, specimen: Specimen, store: Path
) -> None:
    first = screen(clinician, specimen)
    version = first.model_version or 0
    newer = version_dir(store, NAME, version + 1)
    version_dir(store, NAME, version).rename(newer)
    make_again(newer, version + 1)
    make_passing_store_again(store, version)
    live(store, version + 1, previous=version)
    assert client_signed_in.get(address(first)).status_code == 200
    second = screen(clinician, specimen, seed=2)
    assert second.model_version == version + 1
    assert client_signed_in.get(address(second)).status_code == 200
    live(store, version + 1)
    assert client_signed_in.get(address(first)).status_code == 404
    assert "is not loaded any more" in client_signed_in.get(address(first)).content.decode()


def make_again(folder: Path, version: int) -> None:
    """Let the version in ``folder`` say that it is ``version``."""
    contract = json.loads((folder / CONTRACT_FILE).read_bytes())
    (folder / CONTRACT_FILE).write_text(json.dumps(contract | {"version": version}))
    write_saliency(folder, {"passed": True})


def make_passing_store_again(store: Path, version: int) -> None:
    other = make_passing_store(store.with_name("again"))
    version_dir(other, NAME, version).rename(version_dir(store, NAME, version))


def live(store: Path, stable: int, previous: int | None = None) -> None:
    path = live_path(store, NAME)
    part = path.with_suffix(".part")
    part.write_bytes(Live(stable, previous=previous).to_json())
    part.replace(path)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (ModelAwayError("nobody there"), "The model cannot be reached just now. Try again."),
        (ModelBusyError("queue is full"), "The model is busy just now. Try again."),
    ],
)
def test_a_model_that_is_away_or_busy_is_no_missing_map(
    client_signed_in: Client,
    diagnosis: Diagnosis,
    monkeypatch: pytest.MonkeyPatch,
    error: ModelUnavailableError,
    sentence: str,
) -> None:
    def unavailable(*images: object) -> None:
        raise error

    monkeypatch.setattr("diagnosis.core.predictors.embedded.EmbeddedPredictor.explain", unavailable)
    answer = client_signed_in.get(address(diagnosis))
    assert (answer.status_code, answer.content.decode()) == (503, sentence)


def test_fields_without_an_answer_have_no_map(
    client_signed_in: Client, clinician: User, specimen: Specimen, store: Path
) -> None:
    for field in (records.received(clinician, specimen), records.refused(clinician, specimen)):
        assert client_signed_in.get(address(field)).status_code == 404
        assert "No activation map" not in shown(client_signed_in, field)


def test_a_missing_image_is_not_found(client_signed_in: Client, diagnosis: Diagnosis) -> None:
    media_path(diagnosis.image_name).unlink()
    assert client_signed_in.get(address(diagnosis)).status_code == 404
    assert not AuditEvent.objects.filter(detail={"size": "activation"}).exists()


def test_who_may_not_look_sees_no_map(
    client: Client, diagnosis: Diagnosis, django_user_model: type[User]
) -> None:
    assert client.get(address(diagnosis)).headers["Location"].startswith("/login?next=")
    user = django_user_model.objects.create_user("nobody")
    client.force_login(user)
    assert client.get(address(diagnosis)).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_diagnosis"))
    assert client.get(address(diagnosis)).status_code == 200
