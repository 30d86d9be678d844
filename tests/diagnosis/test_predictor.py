"""A promotion takes effect without a restart."""

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from diagnosis.errors import ContractError
from diagnosis.imaging.contract import CONTRACT_FILE
from diagnosis.predictor import stable_predictor
from diagnosis.predictors.seal import seal
from diagnosis.predictors.store import Live, live_path
from diagnosis.screening import diagnosis_run
from diagnosis.services import diagnosis_create
from diagnosis.state import Status
from tests.diagnosis.support import smear_jpeg


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

    def promote(self, number: int) -> None:
        """As the exporter does it: a new file renamed into place."""
        path = live_path(self.root, "all_smear")
        part = path.with_suffix(".part")
        part.write_bytes(Live(number).to_json())
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
    import diagnosis.predictor

    loaded: list[Path] = []
    real = diagnosis.predictor.EmbeddedPredictor

    def load(folder: Path) -> object:
        loaded.append(folder)
        return real(folder)

    monkeypatch.setattr(diagnosis.predictor, "EmbeddedPredictor", load)
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
