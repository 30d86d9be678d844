import shutil
from pathlib import Path

import numpy as np
import pytest

from diagnosis.imaging.contract import ModelContract
from diagnosis.predictors.store import live_path, published_versions, version_dir
from export import publish as publishing
from export import savedmodel
from export.errors import PublishError

from .conftest import Rows

NAME = "all_smear"
SmallSet = tuple[Path, Rows]


def publish(run: Path, data: Path, store: Path) -> int:
    return publishing.publish(run, data, store, NAME, "A note.", lambda line: None)


@pytest.fixture(scope="module")
def store(small_set: SmallSet, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with version 1 of the tiny run."""
    folder = tmp_path_factory.mktemp("serving") / "models"
    assert publish(tiny_run, small_set[0], folder) == 1
    return folder


def test_a_version_holds_everything_the_contract_names(store: Path) -> None:
    folder = version_dir(store, NAME, 1)
    assert {p.name for p in (folder / "assets.extra").iterdir()} == {
        "contract.json",
        "model_card.json",
        "model_card.md",
        "model.tflite",
        "golden.npz",
        "tf_serving_warmup_requests",
    }
    contract = ModelContract.load(folder)
    assert (contract.name, contract.version, contract.architecture) == (NAME, 1, "tiny")
    assert contract.metrics["calibration"]["accuracy"]["n"] == 8
    assert set(contract.metrics["sources"]) >= {"bccd", "document", "chula", "xray"}


def test_the_note_stands_in_the_card(store: Path) -> None:
    assert "A note." in (version_dir(store, NAME, 1) / "assets.extra/model_card.md").read_text()


def test_publishing_serves_nothing(store: Path) -> None:
    assert not live_path(store, NAME).exists()
    assert not (store.parent / "models.config").exists()


def test_the_next_version_gets_the_next_number_and_overwrites_nothing(
    store: Path, small_set: SmallSet, tiny_run: Path
) -> None:
    first = {p: p.read_bytes() for p in version_dir(store, NAME, 1).rglob("*") if p.is_file()}
    assert publish(tiny_run, small_set[0], store) == 2
    assert all(path.read_bytes() == content for path, content in first.items())
    assert ModelContract.load(version_dir(store, NAME, 2)).version == 2


@pytest.mark.parametrize("step", ["_write_graph", "measure", "_write_golden", "_write_card"])
def test_an_interrupted_publication_leaves_no_version(
    step: str,
    store: Path,
    small_set: SmallSet,
    tiny_run: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = published_versions(store, NAME)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publishing, step, interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish(tiny_run, small_set[0], store)
    assert published_versions(store, NAME) == before
    assert not list((store / NAME).glob(".publishing-*"))


def test_what_a_killed_publication_left_is_removed_by_the_next(
    store: Path, small_set: SmallSet, tiny_run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "models"
    shutil.copytree(store, copy)
    (copy / NAME / ".publishing-killed").mkdir()
    (copy / NAME / ".publishing-killed/saved_model.pb").write_bytes(b"half")
    publish(tiny_run, small_set[0], copy)
    assert not (copy / NAME / ".publishing-killed").exists()


def test_a_conversion_that_differs_is_refused(
    store: Path, small_set: SmallSet, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteRT's answers are moved by a little more than what is allowed."""
    real = savedmodel.litert_answers

    def moved(*args: object) -> savedmodel.Answer:
        answers = real(*args)  # type: ignore[arg-type]
        return answers | {"probabilities": answers["probabilities"] + np.float32(1.5e-4)}

    before = published_versions(store, NAME)
    monkeypatch.setattr(savedmodel, "litert_answers", moved)
    with pytest.raises(PublishError, match=r"LiteRT serving_default: probabilities differs"):
        publish(tiny_run, small_set[0], store)
    assert published_versions(store, NAME) == before


@pytest.mark.parametrize("value", [2e-4, np.nan, np.inf])
def test_the_gate_refuses_what_is_far_off_or_no_number(value: float) -> None:
    expected = {"ood_score": np.zeros(3, np.float32)}
    publishing.gate(expected, {"ood_score": np.full(3, 0.5e-4, np.float32)}, "x")
    with pytest.raises(PublishError, match="ood_score differs"):
        publishing.gate(expected, {"ood_score": np.array([0, value, 0], np.float32)}, "x")


def test_an_oversized_version_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(publishing.MAX_BYTES + 1)
    with pytest.raises(PublishError, match="15,000,001 bytes"):
        publishing.check_size(tmp_path)
