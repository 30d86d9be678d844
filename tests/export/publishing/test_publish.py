import dataclasses
import errno
import functools
import json
import os
import shutil
import threading
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

from diagnosis.core.drift import Reference, reference_path
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import CONTRACT_FILE, ModelContract
from diagnosis.core.imaging.preprocess import cover
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import live_path, published_versions, version_dir
from export.config import COVERED
from export.data.dataset import read_fields
from export.errors import PublishError, RunError
from export.evaluation.crossval import cross_validate
from export.evaluation.saliency import SEEDS
from export.evaluation.shortcuts import PAINTED_OVER
from export.publishing import publish as publishing
from export.publishing.publish import Request
from export.publishing.readable import check_readable
from export.publishing.registry import promote
from export.training import savedmodel
from export.training.architectures import POOLED, build
from export.training.calibrate import Calibration, Decision
from export.training.runs import run_config
from tests.export.conftest import Rows

pytestmark = pytest.mark.xdist_group("publish")

NAME = "all_smear"
SmallSet = tuple[Path, Rows]
LITERT = "assets.extra/model.tflite"
drawn = functools.cache(draw_smear)


# Out-of-fold figures that any network passes.
WORST = {"confusion": [[0, 1, 0, 0, 0]] + [[1, 0, 0, 0, 0]] * 3}
REASON = "a network of 844 parameters for tests"


def publish(run: Path, data: Path, store: Path, **changed: str) -> int:
    request = Request(run, data, **({"note": "A note.", "accept_shortcut": REASON} | changed))
    return publishing.publish(request, store, NAME, lambda line: None)


@pytest.fixture(scope="module", autouse=True)
def _few_seeds() -> Iterator[None]:
    """The saliency check with two random networks; what it finds is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        few = functools.partial(publishing.saliency_figures, seeds=SEEDS[:2])
        patch.setattr(publishing, "saliency_figures", few)
        yield


@pytest.fixture(scope="module")
def store(small_set: SmallSet, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with version 1 of the tiny run, published by somebody whose files are private."""
    folder = tmp_path_factory.mktemp("serving") / "models"
    (folder / NAME).mkdir(parents=True)
    before = os.umask(0o077)
    try:
        assert publish(tiny_run, small_set[0], folder) == 1
    finally:
        os.umask(before)
    return folder


@pytest.fixture
def known(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on the run alone is taken from version 1 and not worked out again."""
    first = version_dir(store, NAME, 1)
    figures = json.loads((first / "assets.extra/model_card.json").read_bytes())["figures"]

    def write_graph(graph: object, folder: Path, *_: object) -> None:
        shutil.copytree(
            first, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("assets.extra")
        )
        (folder / "assets.extra").mkdir()
        shutil.copyfile(first / LITERT, folder / LITERT)

    monkeypatch.setattr(publishing, "_write_graph", write_graph)
    monkeypatch.setattr(publishing, "measure", lambda *_: deepcopy(figures))
    monkeypatch.setattr(publishing, "saliency_figures", lambda *_: figures["saliency"])
    monkeypatch.setattr(publishing, "draw_smear", drawn)


def test_a_version_holds_everything_the_contract_names(store: Path) -> None:
    folder = version_dir(store, NAME, 1)
    assert {p.name for p in (folder / "assets.extra").iterdir()} == {
        "SHA256SUMS",
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


def test_the_card_holds_what_the_issue_of_a_version_asks(store: Path) -> None:
    card = json.loads((version_dir(store, NAME, 1) / "assets.extra/model_card.json").read_bytes())
    assert card["decision"]["malignant_groups"] == 3
    assert card["decision"]["group_risk"] == 0.25
    assert set(card["figures"]["audit"]) >= {PAINTED_OVER, "mean colour alone", "grey-scale"}
    assert set(card["figures"]["saliency"]) >= {"passed", "rank_correlation_all", "bound"}
    assert card["flips"] == {"counts": dict.fromkeys(card["flips"]["counts"], 0), "cases": []}


def test_publishing_serves_nothing(store: Path) -> None:
    assert not live_path(store, NAME).exists()
    assert not (store.parent / "models.config").exists()


@pytest.mark.usefixtures("known")
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
    known: None,
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


@pytest.mark.usefixtures("known")
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


def test_the_graph_of_a_network_of_full_size_answers_alike_in_every_runtime(
    tmp_path: Path,
) -> None:
    """One that sees cells alone, hides and weights places, and has residual blocks."""
    images = np.stack([cover(drawn(seed, 224, 224), COVERED) for seed in range(4)])
    model = build("cell_cnn", 0)
    size = model.get_layer(POOLED).output.shape[1]
    calibration = Calibration(
        np.eye(size, dtype=np.float32),
        np.zeros((4, size), np.float32),
        Decision(1.0, 1.0, 0.5, 0.1, 1),
    )
    publishing._write_graph(savedmodel.Graph(model, calibration), tmp_path, images, NAME)
    assert (tmp_path / LITERT).stat().st_size > 4 * model.count_params()


@pytest.mark.parametrize("value", [2e-4, np.nan, np.inf])
def test_the_gate_refuses_what_is_far_off_or_no_number(value: float) -> None:
    expected = {"ood_score": np.zeros(3, np.float32)}
    publishing.gate(expected, {"ood_score": np.full(3, 0.5e-4, np.float32)}, "x")
    with pytest.raises(PublishError, match="ood_score differs"):
        publishing.gate(expected, {"ood_score": np.array([0, value, 0], np.float32)}, "x")


def test_an_oversized_version_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(publishing.MAX_BYTES + 1)
    with pytest.raises(PublishError, match="25,000,001 bytes"):
        publishing.check_size(tmp_path)


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """A copy of the store that a test may change."""
    return Path(shutil.copytree(store, tmp_path / "serving/models"))


def test_a_network_that_reads_the_background_is_refused_or_recorded(
    copy: Path, small_set: SmallSet, tiny_run: Path, known: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = publishing.measure

    def measured(folder: Path, data: Path) -> dict[str, object]:
        figures = measure(folder, data)
        figures["audit"][PAINTED_OVER]["balanced_accuracy"] = 0.41
        return figures

    monkeypatch.setattr(publishing, "measure", measured)
    before = published_versions(copy, NAME)
    with pytest.raises(PublishError, match="the network reads the background"):
        publish(tiny_run, small_set[0], copy, accept_shortcut="")
    assert published_versions(copy, NAME) == before
    version = publish(tiny_run, small_set[0], copy, accept_shortcut="Nothing better yet.")
    extra = version_dir(copy, NAME, version) / "assets.extra"
    (accepted,) = json.loads((extra / "model_card.json").read_bytes())["accepted"]
    assert (accepted["gate"], accepted["reason"]) == ("shortcut", "Nothing better yet.")
    assert "Published because: Nothing better yet." in (extra / "model_card.md").read_text()


def test_against_a_promoted_version_out_of_fold_figures_are_asked_for(
    copy: Path, small_set: SmallSet, tiny_run: Path
) -> None:
    """Before anything is calibrated or measured."""
    promote(copy, NAME, 1)
    said: list[str] = []
    with pytest.raises(PublishError, match="cross-validate"):
        publishing.publish(Request(tiny_run, small_set[0]), copy, NAME, said.append)
    assert said == []


def test_a_version_is_open_to_model_servers_whatever_the_umask(copy: Path) -> None:
    """It was published with umask 077; ``promote`` refuses what is closed."""
    check_readable(copy, NAME, 1)
    assert promote(copy, NAME, 1).stable == 1


@pytest.mark.usefixtures("known")
def test_cases_that_flip_are_told_and_kept(
    copy: Path, small_set: SmallSet, tiny_run: Path, tmp_path: Path
) -> None:
    """Against a promoted version that refuses every field."""
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    cross_validate(run, run_config(run), read_fields(small_set[0]), 2, lambda line: None)
    contract = ModelContract.load(version_dir(copy, NAME, 1))
    thresholds = dict(contract.thresholds) | {"size": 10_000.0}
    strict = dataclasses.replace(
        contract, thresholds=thresholds, metrics=contract.metrics | {"out_of_fold": WORST}
    )
    (version_dir(copy, NAME, 1) / CONTRACT_FILE).write_bytes(strict.to_json())
    seal(version_dir(copy, NAME, 1))
    promote(copy, NAME, 1)
    said: list[str] = []
    request = Request(run, small_set[0], accept_shortcut=REASON)
    version = publishing.publish(request, copy, NAME, said.append)
    card = version_dir(copy, NAME, version) / "assets.extra/model_card.json"
    flips = json.loads(card.read_bytes())["flips"]
    accepted = [case for case in flips["cases"] if case["new"]["headline"] != "rejected"]
    assert len(flips["cases"]) == len(accepted) == sum(flips["counts"].values())
    assert [line for line in said if "mended" in line]


def test_a_run_of_other_fields_is_refused(
    store: Path, small_set: SmallSet, tiny_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    document = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(document | {"training_data_digest": "0" * 64}))
    before = published_versions(store, NAME)
    with pytest.raises(RunError, match="learned from other fields"):
        publish(run, small_set[0], store)
    assert published_versions(store, NAME) == before


def test_an_unfinished_run_is_refused(
    store: Path, small_set: SmallSet, tiny_run: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    (run / "model.weights.h5").unlink()
    before = published_versions(store, NAME)
    with pytest.raises(RunError, match="no finished model"):
        publish(run, small_set[0], store)
    assert published_versions(store, NAME) == before
    assert not list((store / NAME).glob(".publishing-*"))


@pytest.mark.usefixtures("known")
def test_a_full_disk_leaves_the_store_as_it_was(
    store: Path, small_set: SmallSet, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    before = published_versions(store, NAME)
    monkeypatch.setattr(savedmodel, "write_warmup", full)
    with pytest.raises(OSError, match="No space left"):
        publish(tiny_run, small_set[0], store)
    assert published_versions(store, NAME) == before
    assert not list((store / NAME).glob(".publishing-*"))


@pytest.mark.usefixtures("known")
def test_two_publications_at_once_get_two_numbers(
    copy: Path, small_set: SmallSet, tiny_run: Path
) -> None:
    """The second waits for the first: a lock on the model's folder."""
    before = published_versions(copy, NAME)
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda: numbers.append(publish(tiny_run, small_set[0], copy)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [max(before) + 1, max(before) + 2]
    assert published_versions(copy, NAME) == [*before, *sorted(numbers)]


@pytest.mark.parametrize(
    "file", ["saved_model.pb", "variables/variables.index", "assets.extra/model.tflite"]
)
def test_a_tampered_weight_file_is_refused(file: str, copy: Path) -> None:
    path = version_dir(copy, NAME, 1) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ContractError, match=f"{file} has another checksum"):
        promote(copy, NAME, 1)
    with pytest.raises(ContractError, match="does not match its contract"):
        EmbeddedPredictor(version_dir(copy, NAME, 1))
    assert not live_path(copy, NAME).exists()


def test_a_tampered_contract_is_refused(copy: Path) -> None:
    """A bound moved by hand: valid, consistent, and not what was published."""
    path = version_dir(copy, NAME, 1) / CONTRACT_FILE
    contract = ModelContract.load(version_dir(copy, NAME, 1))
    path.write_bytes(dataclasses.replace(contract, suspicious_min=0.9).to_json())
    with pytest.raises(ContractError, match=r"does not match its seal: assets.extra/contract.json"):
        promote(copy, NAME, 1)
    with pytest.raises(ContractError, match=r"does not match its seal: assets.extra/contract.json"):
        EmbeddedPredictor(version_dir(copy, NAME, 1))
    assert not live_path(copy, NAME).exists()


@pytest.mark.usefixtures("known")
def test_a_version_has_its_reference_beside_it(
    small_set: SmallSet, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen fields of eight groups give none, which is no obstacle; enough of them do."""
    store, said = tmp_path / "models", []
    request = Request(tiny_run, small_set[0], accept_shortcut=REASON)
    assert publishing.publish(request, store, NAME, said.append) == 1
    assert any("no alarm on drift" in line and "need 20 groups" in line for line in said)
    assert not reference_path(store, NAME, 1).exists()

    def reference_of(folder: Path, fields: object) -> Reference:
        return Reference(ModelContract.load(folder).digest, 1, 1, {}, {}, {})

    monkeypatch.setattr(publishing, "reference_of", reference_of)
    request = dataclasses.replace(request, accept_regression=REASON)
    assert publishing.publish(request, store, NAME, said.append) == 2
    made = Reference.load(reference_path(store, NAME, 2))
    assert made.contract_digest == ModelContract.load(version_dir(store, NAME, 2)).digest
    assert published_versions(store, NAME) == [1, 2]
