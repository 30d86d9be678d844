"""The window, and the alarm: smears through the real pipeline, stained as before and otherwise."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from django.contrib.auth.models import User
from numpy.typing import NDArray
from pytest_django import Settings

from diagnosis.core import drift
from diagnosis.core.drift import FEWEST, PER_PATIENT, WINDOW, Level, reference_path
from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import CONTRACT_FILE, ModelContract
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.pipeline import prepare
from diagnosis.core.predictors.store import Live, live_path
from diagnosis.statistics import inputs as module
from diagnosis.statistics.inputs import Inputs, inputs
from export.input_checks.fit import png
from export.publishing.drift_reference import make_reference, measure_inputs, write_reference
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import FakePredictor, live, make_contract
from tests.diagnosis.statistics.laboratory import field, specimen
from tests.product import ROOT

pytestmark = [pytest.mark.django_db, pytest.mark.xdist_group("inputs")]

# Optical densities (RGB) of methylene blue and eosin: G. Landini's vectors of the Giemsa stain in
# the plug-in "Colour Deconvolution" of ImageJ; the third is at right angles to both.
_AZURE, _EOSIN = (0.834750233, 0.513556283, 0.196330403), (0.092789, 0.954111, 0.283111)
_DYES = np.array([_AZURE, _EOSIN, np.cross(_AZURE, _EOSIN)])


def stained_otherwise(rgb: NDArray[np.uint8], azure: float, eosin: float) -> NDArray[np.uint8]:
    """The field as it would look with so much of each dye (Beer–Lambert)."""
    amounts = -np.log((rgb.astype(float) + 1) / 256) @ np.linalg.inv(_DYES)
    density = (amounts * (azure, eosin, 1)) @ _DYES
    return np.clip(np.round(256 * np.exp(-density) - 1), 0, 255).astype(np.uint8)


def turned(rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Four fields of one drawing."""
    return [rgb, rgb[::-1], rgb[:, ::-1], rgb[::-1, ::-1]]


@pytest.fixture(scope="session")
def smears() -> list[list[NDArray[np.uint8]]]:
    """Four drawn fields each of 47 slides."""
    return [turned(draw_smear(seed, 240, 320)) for seed in range(47)]


@pytest.fixture
def published(settings: Settings, tmp_path: Path) -> ModelContract:
    """A live version without a graph."""
    settings.MODEL_STORE = tmp_path / "store"
    folder = settings.MODEL_STORE / "all_smear/7"
    (folder / CONTRACT_FILE).parent.mkdir(parents=True)
    (folder / CONTRACT_FILE).write_bytes(make_contract().to_json())
    live_path(settings.MODEL_STORE, "all_smear").write_bytes(Live(7).to_json())
    return ModelContract.load(folder)


@pytest.fixture
def predictor(published: ModelContract, monkeypatch: pytest.MonkeyPatch) -> FakePredictor:
    fake = FakePredictor(published)
    monkeypatch.setattr("diagnosis.fields.live_model._current", live(fake))
    return fake


@pytest.fixture
def reference(
    smears: list[list[NDArray[np.uint8]]],
    predictor: FakePredictor,
    tmp_path: Path,
    settings: Settings,
) -> None:
    """Of the first 22 slides, a patient each, as ``python -m export reference`` makes it."""
    fields = []
    for slide, turns in enumerate(smears[:22]):
        for turn, rgb in enumerate(turns):
            path = tmp_path / f"{slide}-{turn}.png"
            path.write_bytes(png(rgb))
            fields.append(SimpleNamespace(path=path, group=f"patient-{slide}"))
    measured = measure_inputs(fields, predictor)  # type: ignore[arg-type]
    groups = [one.group for one in fields]
    made = make_reference(
        measured[:80],
        groups[:80],
        measured[80:],
        groups[80:],
        predictor.contract.digest,
        windows=200,
    )
    write_reference(made, reference_path(settings.MODEL_STORE, "all_smear", 7))


def send(user: User, slides: list[list[NDArray[np.uint8]]]) -> None:
    """Upload and screen every field, each slide on a specimen of its own."""
    for turns in slides:
        of = specimen()
        for rgb in turns:
            assert run_field(create_field(user, png(rgb), of)).status != "failed"


def judged(population: str = "decoded") -> Inputs:
    found = inputs(population)
    assert found is not None
    return found


@pytest.mark.any_database  # what is asked of the database, the tests below ask as well
def test_a_stain_shift_raises_the_alarm_and_other_slides_do_not(
    smears: list[list[NDArray[np.uint8]]],
    reference: None,
    clinician: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WINDOW", FEWEST)
    send(clinician, smears[22:])
    before = judged()
    assert (before.fields, before.patients, before.enough) == (100, 25, True)
    assert before.level is Level.NONE, [(d.statistic, d.distance) for d in before.drifts]
    shifted = [
        [stained_otherwise(rgb, azure=0.75, eosin=1.25) for rgb in turns] for turns in smears[22:]
    ]
    send(clinician, shifted)
    after = judged()
    assert after.level is Level.DRIFT
    assert balance(after) < balance(before), "more eosin and less azure"


def balance(found: Inputs) -> float:
    (one,) = (drift for drift in found.drifts if drift.statistic == "stain_balance")
    return float(np.median(one.values))


@pytest.mark.data
def test_the_published_version_tells_a_stain_shift_of_real_fields(data_dir: Path) -> None:
    """Calibration fields, which the network has not learned from, against its real reference."""
    from export.data.dataset import read_fields
    from export.data.split import official_split

    store = ROOT / "serving/models"
    contract = ModelContract.load(store / "all_smear/2")
    made = drift.Reference.load(reference_path(store, "all_smear", 2))
    _, calibration = official_split(read_fields(data_dir))
    seen: dict[str, int] = {}
    window = []
    for one in calibration:
        if seen.setdefault(one.group, 0) < PER_PATIENT:
            seen[one.group] += 1
            window.append(decode(one.path.read_bytes()).rgb)
    assert len(window) >= FEWEST
    levels = {}
    for azure, eosin in ((1.0, 1.0), (0.75, 1.25), (1.25, 0.75)):
        fields = []
        for rgb in window:
            report = prepare(png(stained_otherwise(rgb, azure, eosin)), contract).validation
            fields.append({check.name: check.score for check in report.checks} | dict(report.stain))
        levels[azure] = {found.statistic: found.level for found in drift.judge(made, fields)}
    assert set(levels[1.0].values()) == {Level.NONE}
    assert levels[0.75]["stain_balance"] is Level.DRIFT
    assert levels[1.25]["stain_balance"] is Level.DRIFT


# --- The window --------------------------------------------------------------------------


@pytest.fixture
def rows(published: ModelContract) -> Iterator[dict[str, str]]:
    """What a row needs to be the live version's."""
    return {"model_digest": published.digest}  # type: ignore[return-value]


def test_one_patient_counts_for_little(rows: dict[str, str]) -> None:
    many = specimen()
    for _ in range(PER_PATIENT + 5):
        field(many, **rows)
    for _ in range(3):
        field(specimen(many.patient), **rows)
    for _ in range(4):
        field(specimen(), **rows)
    found = judged()
    assert (found.fields, found.patients, found.enough) == (PER_PATIENT + 4, 5, False)
    for _ in range(PER_PATIENT + 5):
        field(None, **rows)  # nobody knows whose they are
    assert (judged().fields, judged().patients) == (2 * PER_PATIENT + 4, 6)


def test_the_newest_fields_of_the_live_version_count(
    rows: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WINDOW", 3)
    field(specimen(), ood_score=9.0, **rows)
    for _ in range(2):
        field(specimen(), **rows)
    field(specimen(), given=None, **rows)
    field(specimen(), model_digest="e" * 64)
    assert len(module._window(rows["model_digest"], "decoded")) == 3
    newest = max(module._window(rows["model_digest"], "accepted"))
    assert newest == min(module._window(rows["model_digest"], "accepted")) + 2
    assert judged("decoded").fields == 3
    monkeypatch.setattr(module, "REACH", 2)
    assert (judged("decoded").fields, judged("accepted").fields) == (1, 0)


def test_a_window_is_large_enough_to_be_judged_and_bounded() -> None:
    assert FEWEST <= WINDOW <= module.REACH
    assert FEWEST // PER_PATIENT >= 10


def test_without_a_live_version_or_its_reference_nothing_is_judged(
    published: ModelContract, settings: Settings
) -> None:
    found = judged()
    assert (found.version, found.reference, found.drifts) == (7, None, [])
    other = drift.Reference("f" * 64, 1, 1, {}, {}, {})
    write_reference(other, reference_path(settings.MODEL_STORE, "all_smear", 7))
    assert judged().reference is None, "it is another version's"
    mine = dataclasses.replace(other, contract_digest=published.digest)
    write_reference(mine, reference_path(settings.MODEL_STORE, "all_smear", 7))
    assert judged().reference is not None
    live_path(settings.MODEL_STORE, "all_smear").unlink()
    assert inputs() is None


def test_records_from_before_the_stain_was_measured_say_less() -> None:
    document = {"checks": [{"name": "focus", "score": 1}]}
    assert module._statistics(document, None) == {"focus": 1.0}
    stained = document | {"stain": {"stain_balance": 0.1}}
    assert module._statistics(stained, 0.5) == {
        "focus": 1.0,
        "stain_balance": 0.1,
        "ood_score": 0.5,
    }
