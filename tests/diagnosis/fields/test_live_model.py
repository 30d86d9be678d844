"""A promotion takes effect without a restart."""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from diagnosis.core.errors import ContractError, PredictorError
from diagnosis.core.imaging.contract import CONTRACT_FILE, ModelContract
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import Live, live_path
from diagnosis.core.predictors.tf_serving import TFServingPredictor
from diagnosis.core.state import Status
from diagnosis.fields.intake import diagnosis_create
from diagnosis.fields.live_model import canary_predictor, predictor_for, stable_predictor
from diagnosis.fields.screening import diagnosis_run
from tests.diagnosis.killed.steps import make_due
from tests.diagnosis.made.pictures import FakePredictor, encode, live, smear_jpeg


class Store:
    """A model store with two versions of the published graph, numbered 1 and 2."""

    def __init__(self, root: Path, published: Path) -> None:
        self.root = root
        for number in (1, 2):
            folder = root / "all_smear" / str(number)
            shutil.copytree(published, folder)
            document = json.loads((folder / CONTRACT_FILE).read_bytes())
            (folder / CONTRACT_FILE).write_text(json.dumps(document | {"version": number}))
            seal(folder)

    def promote(self, number: int, canary: int | None = None) -> None:
        """As the exporter does it: a new file renamed into place."""
        path = live_path(self.root, "all_smear")
        part = path.with_suffix(".part")
        part.write_bytes(Live(number, canary=canary).to_json())
        os.replace(part, path)


@pytest.fixture
def store(tmp_path: Path, published_dir: Path, settings: Settings) -> Store:
    found = Store(tmp_path / "models", published_dir)
    settings.MODEL_STORE = found.root
    return found


def test_the_live_version_answers_and_is_loaded_once(store: Store) -> None:
    store.promote(1)
    assert stable_predictor().contract.version == 1
    assert stable_predictor() is stable_predictor()
    store.promote(2)
    assert stable_predictor().contract.version == 2
    store.promote(1)
    assert stable_predictor().contract.version == 1


def test_nothing_promoted(store: Store) -> None:
    with pytest.raises(ContractError, match="promote"):
        stable_predictor()


def test_a_version_that_cannot_be_loaded_is_not_remembered(store: Store) -> None:
    store.promote(1)
    stable_predictor()
    contract = store.root / "all_smear/2" / CONTRACT_FILE
    away = contract.with_suffix(".away")
    contract.rename(away)
    store.promote(2)
    for _ in range(2):
        with pytest.raises(ContractError, match=r"contract\.json cannot be read"):
            stable_predictor()
    away.rename(contract)
    assert stable_predictor().contract.version == 2


def test_many_threads_load_it_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import diagnosis.fields.live_model

    loaded: list[Path] = []
    real = diagnosis.fields.live_model.EmbeddedPredictor

    def load(folder: Path) -> object:
        loaded.append(folder)
        return real(folder)

    monkeypatch.setattr(diagnosis.fields.live_model, "EmbeddedPredictor", load)
    store.promote(1)
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        stable_predictor()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loaded) == 1


@pytest.mark.django_db
def test_each_diagnosis_names_the_version_that_was_live(store: Store, clinician: User) -> None:
    versions = []
    for number in (1, 2):
        store.promote(number)
        diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg(number))
        versions.append(diagnosis_run(diagnosis_id=diagnosis.pk).model_version)
    assert versions == [1, 2]


@pytest.mark.django_db
def test_a_field_waits_for_the_first_promotion(store: Store, clinician: User) -> None:
    diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    assert diagnosis_run(diagnosis_id=diagnosis.pk).status == Status.RECEIVED
    store.promote(1)
    type(diagnosis).objects.update(next_attempt_at=None)
    assert diagnosis_run(diagnosis_id=diagnosis.pk).status == Status.SCREENED


# --- Canary ------------------------------------------------------------------------------


def digests(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


@pytest.fixture
def trial(store: Store, settings: Settings) -> Store:
    """Version 1 is stable, version 2 on trial."""
    store.promote(1, canary=2)
    settings.CANARY_SHARE = 0.25
    return store


def versions(count: int, attempt: int = 1) -> list[int]:
    return [predictor_for(d, attempt=attempt).contract.version for d in digests(count)]


def test_the_canary_takes_its_share(trial: Store, settings: Settings) -> None:
    asked = versions(2000)
    assert asked.count(2) == pytest.approx(500, abs=80)  # four standard deviations
    assert versions(2000) == asked, "the same image goes the same way again"
    settings.CANARY_SHARE = 0.5
    more = versions(2000)
    assert more.count(2) == pytest.approx(1000, abs=90)
    assert all(new == 2 for old, new in zip(asked, more, strict=True) if old == 2)
    settings.CANARY_SHARE = 1.0
    assert set(versions(200)) == {2}
    settings.CANARY_SHARE = 0.0
    assert set(versions(200)) == {1}


def test_a_second_attempt_is_the_stable_version_s(trial: Store, settings: Settings) -> None:
    settings.CANARY_SHARE = 1.0
    assert set(versions(50, attempt=2)) == {1}


def test_in_shadow_mode_it_takes_none(trial: Store, settings: Settings) -> None:
    settings.CANARY_SHARE = 1.0
    settings.SHADOW = True
    assert set(versions(50)) == {1}


def test_a_canary_that_cannot_be_loaded_is_left_out(
    trial: Store, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.CANARY_SHARE = 1.0
    (trial.root / "all_smear/2" / CONTRACT_FILE).unlink()
    assert set(versions(50)) == {1}
    assert "The canary is left out" in caplog.text
    assert canary_predictor() is None


def test_a_version_that_changes_its_role_is_not_loaded_again(trial: Store) -> None:
    before = canary_predictor()
    assert before is not None
    trial.promote(2)
    assert stable_predictor() is before
    assert canary_predictor() is None


@pytest.mark.django_db
def test_each_diagnosis_names_the_version_that_answered(
    trial: Store, settings: Settings, clinician: User
) -> None:
    settings.CANARY_SHARE = 0.5
    seen = set()
    field = draw_smear(0, 240, 320)
    for number in range(12):
        field[0, 0, 0] = number
        diagnosis, _ = diagnosis_create(actor=clinician, upload=encode("PNG", field))
        expected = predictor_for(diagnosis.image_sha256, attempt=1).contract
        result = diagnosis_run(diagnosis_id=diagnosis.pk)
        assert (result.model_version, result.model_digest) == (expected.version, expected.digest)
        seen.add(result.model_version)
    assert seen == {1, 2}  # by chance of one in 2,000 not


@pytest.mark.django_db
def test_a_canary_that_fails_costs_one_attempt_and_not_the_result(
    clinician: User, contract: ModelContract, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CANARY_SHARE = 1.0
    canary, stable = FakePredictor(contract), FakePredictor(contract)
    canary.error = PredictorError("HTTP 400", permanent=False)
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(stable, canary))
    diagnosis, _ = diagnosis_create(actor=clinician, upload=smear_jpeg())
    assert diagnosis_run(diagnosis_id=diagnosis.pk).status == Status.RECEIVED
    make_due(diagnosis)
    assert diagnosis_run(diagnosis_id=diagnosis.pk).status == Status.SCREENED
    assert (canary.calls, stable.calls) == (1, 1)


# --- Over REST ---------------------------------------------------------------------------


def test_model_servers_are_asked_for_the_live_version(store: Store, settings: Settings) -> None:
    store.promote(2)
    embedded = stable_predictor()
    settings.PREDICTOR_URL = "http://127.0.0.1:9/v1/models/all_smear"
    settings.PREDICTOR_CALLS = 2
    remote = stable_predictor()
    assert isinstance(remote, TFServingPredictor)
    assert remote.contract.version == 2
    assert not remote.is_available()
    assert [remote._turns.acquire(blocking=False) for _ in range(3)] == [True, True, False]
    settings.PREDICTOR_URL = "embedded:"
    assert type(stable_predictor()) is type(embedded)
