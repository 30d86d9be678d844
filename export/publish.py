"""From a finished run to a new numbered version; changes nothing that is served."""

import csv
import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diagnosis.imaging.contract import CONTRACT_FILE, LABELS, ModelContract, graph_digest
from diagnosis.imaging.preprocess import preprocess
from diagnosis.imaging.synthetic import draw_smear
from diagnosis.predictors.embedded import EmbeddedPredictor
from diagnosis.predictors.store import published_versions, version_dir
from export import savedmodel
from export.calibrate import Calibration, calibrate
from export.config import COVERED, INPUT_HEIGHT, INPUT_WIDTH
from export.crossval import out_of_fold_figures
from export.dataset import Field, labels_of, read_fields
from export.errors import PublishError
from export.evaluate import measure
from export.modelcard import render
from export.registry import locked
from export.split import official_split
from export.train import CONFIG, HISTORY, Report, covered_images, load_run

TOLERANCE = 1e-4  # between Keras, SavedModel and LiteRT, on every number they answer
GATE_FIELDS = 64
GOLDEN_SEEDS = range(4)
MAX_BYTES = 15_000_000
STAGING = ".publishing-"


def publish(run: Path, data_dir: Path, store: Path, name: str, note: str, report: Report) -> int:
    """Publish ``run`` under the next free number.

    The version is built and checked in a directory whose name TensorFlow Serving ignores, and
    renamed into place when every gate has passed. What an interrupted publication left behind
    is removed by the next.

    Args:
        note: what a reader of the model card must know and no figure says; may be empty.

    Returns:
        The new version's number.

    Raises:
        PublishError: a gate failed; nothing was published.
    """
    fields = read_fields(data_dir)
    train, calibration = official_split(fields)
    with locked(store, name):
        for stale in (store / name).glob(f"{STAGING}*"):
            shutil.rmtree(stale)
        version = max(published_versions(store, name), default=0) + 1
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=store / name))
        staging.chmod(0o755)  # mkdtemp makes it private; the model server is another user
        try:
            report("calibrating")
            graph, calibrated = _graph(run, train, calibration)
            report("writing and converting the graph")
            _write_graph(graph, staging, covered_images(calibration[:: _step(calibration)]), name)
            report("choosing the validation templates")
            contract = _contract(run, name, version, calibrated, train, data_dir, staging)
            _write_contract(contract, staging)
            report("measuring")
            figures = measure(staging, data_dir)
            if (out_of_fold := out_of_fold_figures(run, fields)) is not None:
                figures["out_of_fold"] = out_of_fold
            contract = dataclasses.replace(contract, metrics=figures)
            _write_contract(contract, staging)
            _write_golden(graph, staging, contract)
            _write_card(run, contract, note, staging)
            check_size(staging)
            os.rename(staging, version_dir(store, name, version))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return version


def gate(
    expected: savedmodel.Answer, found: savedmodel.Answer, what: str, tolerance: float = TOLERANCE
) -> None:
    """Refuse ``found`` where any number lies further than ``tolerance`` from ``expected``.

    Raises:
        PublishError: it does, or is not a number.
    """
    for key, values in found.items():
        difference = float(np.abs(values - expected[key]).max())
        if not difference <= tolerance:
            raise PublishError(
                f"{what}: {key} differs from Keras by {difference:.2g}, more than {tolerance:g}; "
                "nothing was published."
            )


def check_size(folder: Path) -> None:
    """Refuse a version of more than 15 MB.

    Raises:
        PublishError: it is larger.
    """
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > MAX_BYTES:
        raise PublishError(f"The version takes {size:,} bytes, more than {MAX_BYTES:,}.")


def golden_images(contract: ModelContract) -> NDArray[np.uint8]:
    """Canonical images of synthetic smears, uint8 [4, 224, 224, 3]."""
    return np.stack([preprocess(draw_smear(seed), contract) for seed in GOLDEN_SEEDS])


def _step(fields: Sequence[Field]) -> int:
    """Every how-manieth field makes about ``GATE_FIELDS`` of them, from all groups."""
    return max(1, len(fields) // GATE_FIELDS)


def _graph(
    run: Path, train: Sequence[Field], calibration: Sequence[Field]
) -> tuple[savedmodel.Graph, Calibration]:
    model = load_run(run)
    calibrated = calibrate(
        model,
        covered_images(train),
        labels_of(train),
        covered_images(calibration),
        labels_of(calibration),
    )
    return savedmodel.Graph(model, calibrated), calibrated


def _write_graph(
    graph: savedmodel.Graph, folder: Path, images: NDArray[np.uint8], name: str
) -> None:
    """SavedModel and LiteRT model, each held against Keras on real fields."""
    savedmodel.write_saved_model(graph, folder)
    extra = folder / "assets.extra"
    extra.mkdir()
    expected = graph.answers(images)
    for signature in savedmodel.SIGNATURES:
        found = savedmodel.saved_model_answers(folder, signature, images)
        gate(expected, found, f"SavedModel {signature}")
    converted = savedmodel.convert(folder)
    for signature in savedmodel.LITERT_SIGNATURES:
        found = savedmodel.litert_answers(converted, signature, images)
        gate(expected, found, f"LiteRT {signature}")
    (extra / "model.tflite").write_bytes(converted)


def _contract(
    run: Path,
    name: str,
    version: int,
    calibrated: Calibration,
    train: Sequence[Field],
    data_dir: Path,
    folder: Path,
) -> ModelContract:
    from export.screening import fit_validation_profile, fitted_files

    begun = json.loads((run / CONFIG).read_bytes())
    profile = fit_validation_profile([field.path for field in train], fitted_files(data_dir))
    return ModelContract(
        name=name,
        version=version,
        architecture=begun["architecture"],
        labels=LABELS,
        height=INPUT_HEIGHT,
        width=INPUT_WIDTH,
        covered=COVERED,
        histogram_templates=profile.templates,
        thresholds=profile.thresholds,
        temperature=calibrated.temperature,
        suspicious_min=calibrated.suspicious_min,
        not_suspicious_max=calibrated.not_suspicious_max,
        ood_max=calibrated.ood_max,
        training_data_digest=begun["training_data_digest"],
        graph_digest=graph_digest(folder),
        metrics={},
        digest="",
    )


def _write_contract(contract: ModelContract, folder: Path) -> None:
    (folder / CONTRACT_FILE).write_bytes(contract.to_json())


def _write_golden(graph: savedmodel.Graph, folder: Path, contract: ModelContract) -> None:
    """Golden vectors and warm-up requests; the finished directory must answer the vectors."""
    images = golden_images(contract)
    answers = graph.answers(images)
    np.savez_compressed(folder / "assets.extra/golden.npz", images=images, **answers)  # type: ignore[arg-type]
    savedmodel.write_warmup(
        folder / "assets.extra/tf_serving_warmup_requests", images, contract.name
    )
    predictions = EmbeddedPredictor(folder).predict(images)
    found = {
        "probabilities": np.array([p.probabilities for p in predictions], np.float32),
        "ood_score": np.array([p.ood_score for p in predictions], np.float32),
    }
    gate(answers, found, "golden vectors through the embedded predictor")


def _write_card(run: Path, contract: ModelContract, note: str, folder: Path) -> None:
    """``model_card.json``, which holds everything the text says, and the text."""
    card: dict[str, Any] = {
        "name": contract.name,
        "version": contract.version,
        "architecture": contract.architecture,
        "note": note,
        "labels": list(contract.labels),
        "temperature": contract.temperature,
        "ood_max": contract.ood_max,
        "suspicious_min": contract.suspicious_min,
        "not_suspicious_max": contract.not_suspicious_max,
        "training": json.loads((run / CONFIG).read_bytes()),
        "history": _history(run),
        "figures": dict(contract.metrics),
    }
    extra = folder / "assets.extra"
    (extra / "model_card.json").write_text(json.dumps(card, indent=1) + "\n")
    (extra / "model_card.md").write_text(render(card))


def _history(run: Path) -> list[dict[str, float]]:
    with (run / HISTORY).open(newline="") as lines:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
