"""From a finished run to a new numbered version; changes nothing that is served."""

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from diagnosis.core.drift import Reference, reference_path
from diagnosis.core.imaging.contract import CONTRACT_FILE, LABELS, ModelContract, graph_digest
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.predictors.seal import seal
from diagnosis.core.predictors.store import live_path, published_versions, read_live, version_dir
from export.config import COVERED, INPUT_HEIGHT, INPUT_WIDTH
from export.data.dataset import Field, data_digest, labels_of, read_fields
from export.data.split import official_split
from export.errors import DataError, PublishError, RunError
from export.evaluation.crossval import out_of_fold_figures
from export.evaluation.evaluate import measure
from export.evaluation.metrics import Figures
from export.evaluation.saliency import saliency_figures
from export.publishing.drift_reference import reference_of, write_reference
from export.publishing.flips import Flip, flipped, record, summary
from export.publishing.gates import Acceptance, check_regression, check_shortcut
from export.publishing.modelcard import render
from export.publishing.readable import open_to_servers
from export.publishing.registry import locked
from export.training import savedmodel
from export.training.calibrate import Calibration, Decision, calibrate
from export.training.runs import CONFIG, Report, read_history
from export.training.train import covered_images, load_run

TOLERANCE = 1e-4  # between Keras, SavedModel and LiteRT, on every number they answer
GATE_FIELDS = 64
GOLDEN_SEEDS = range(4)
MAX_BYTES = 25_000_000
STAGING = ".publishing-"


@dataclass(frozen=True)
class Request:
    """What is to be published.

    Attributes:
        run: folder of a finished run.
        note: what a reader of the model card must know and no figure says; may be empty.
        accept_regression, accept_shortcut: why a version is published that fails that gate;
            empty if it must pass. Recorded in the model card.
    """

    run: Path
    data_dir: Path
    note: str = ""
    accept_regression: str = ""
    accept_shortcut: str = ""


def publish(request: Request, store: Path, name: str, report: Report) -> int:
    """Publish a run under the next free number.

    The version is built and checked in a directory whose name TensorFlow Serving ignores, and
    renamed into place when every gate has passed. What an interrupted publication left behind
    is removed by the next.

    Returns:
        The new version's number.

    Raises:
        PublishError: a gate failed; nothing was published.
        RunError: the run is not finished, or is of other data.
    """
    fields = read_fields(request.data_dir)
    train, calibration = official_split(fields)
    check_data(request.run, train)
    out_of_fold = _out_of_fold(request.run, fields)
    with locked(store, name):
        for stale in (store / name).glob(f"{STAGING}*"):
            shutil.rmtree(stale)
        promoted = _promoted(store, name)
        regression = _regression(request, out_of_fold, promoted)
        version = max(published_versions(store, name), default=0) + 1
        staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=store / name))
        try:
            report("calibrating")
            model = load_run(request.run)
            calibrated = _calibrated(model, train, calibration)
            graph = savedmodel.Graph(model, calibrated)
            report("writing and converting the graph")
            sample = covered_images(calibration[:: _step(calibration)])
            _write_graph(graph, staging, sample, name)
            report("choosing the validation templates")
            contract = _contract(request, name, version, calibrated, train, staging)
            _write_contract(contract, staging)
            report("measuring")
            figures = measure(staging, request.data_dir) | out_of_fold
            figures["saliency"] = saliency_figures(model, calibrated, contract.architecture, sample)
            shortcut = check_shortcut(figures["audit"], request.accept_shortcut)
            accepted = _accepted(report, regression, shortcut)
            flips = _flips(promoted, staging, calibration, report)
            contract = dataclasses.replace(contract, metrics=figures)
            _write_contract(contract, staging)
            _write_golden(graph, staging, contract)
            _write_card(request, contract, calibrated.decision, accepted, flips, staging)
            seal(staging)
            check_size(staging)
            open_to_servers(staging)
            reference = _reference(staging, fields, report)
            os.rename(staging, version_dir(store, name, version))
            if reference is not None:
                write_reference(reference, reference_path(store, name, version))
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return version


def check_data(run: Path, train: Sequence[Field]) -> None:
    """Refuse a run that learned from other fields than ``train``.

    Raises:
        RunError: it did, or is no run folder.
    """
    try:
        begun = json.loads((run / CONFIG).read_bytes())
    except (OSError, ValueError) as error:
        raise RunError(f"{run} is no run folder ({error}); see `train --run`.") from error
    if begun["training_data_digest"] != data_digest(train):
        raise RunError(
            f"{run} learned from other fields than the train split of --data; name the data it "
            "was trained on, or train again."
        )


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
    """Refuse a version of more than 25 MB.

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


def _calibrated(
    model: keras.Model, train: Sequence[Field], calibration: Sequence[Field]
) -> Calibration:
    return calibrate(
        model,
        covered_images(train),
        labels_of(train),
        covered_images(calibration),
        labels_of(calibration),
        [field.group for field in calibration],
    )


def _write_graph(
    graph: savedmodel.Graph, folder: Path, images: NDArray[np.uint8], name: str
) -> None:
    """SavedModel and LiteRT model, each held against Keras on real fields."""
    savedmodel.write_saved_model(graph, folder)
    extra = folder / "assets.extra"
    extra.mkdir()
    expected = graph.answers(images)
    loaded = savedmodel.load_signatures(folder)
    for signature in savedmodel.SIGNATURES:
        found = savedmodel.saved_model_answers(loaded, signature, images)
        gate(expected, found, f"SavedModel {signature}")
    converted = savedmodel.convert(folder)
    for signature in savedmodel.LITERT_SIGNATURES:
        found = savedmodel.litert_answers(converted, signature, images)
        gate(expected, found, f"LiteRT {signature}")
    (extra / "model.tflite").write_bytes(converted)


def _contract(
    request: Request,
    name: str,
    version: int,
    calibrated: Calibration,
    train: Sequence[Field],
    folder: Path,
) -> ModelContract:
    from export.input_checks.fit import fit_validation_profile, fitted_files

    begun = json.loads((request.run / CONFIG).read_bytes())
    decision = calibrated.decision
    profile = fit_validation_profile(
        [field.path for field in train], fitted_files(request.data_dir)
    )
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
        temperature=decision.temperature,
        suspicious_min=decision.suspicious_min,
        not_suspicious_max=decision.not_suspicious_max,
        ood_max=decision.ood_max,
        training_data_digest=begun["training_data_digest"],
        graph_digest=graph_digest(folder),
        metrics={},
        digest="",
    )


def _reference(folder: Path, fields: Sequence[Field], report: Report) -> Reference | None:
    """What tells drift; a small image set gives none, and can be published all the same."""
    report("measuring what the training fields look like")
    try:
        return reference_of(folder, fields)
    except DataError as error:
        report(f"no alarm on drift for this version: {error}")
        return None


def _write_contract(contract: ModelContract, folder: Path) -> None:
    (folder / CONTRACT_FILE).write_bytes(contract.to_json())
    seal(folder)


def _write_golden(graph: savedmodel.Graph, folder: Path, contract: ModelContract) -> None:
    """Golden vectors and warm-up requests; the finished directory must answer the vectors."""
    images = golden_images(contract)
    answers = graph.answers(images)
    np.savez_compressed(folder / "assets.extra/golden.npz", images=images, **answers)  # type: ignore[arg-type]
    savedmodel.write_warmup(
        folder / "assets.extra/tf_serving_warmup_requests", images, contract.name
    )
    seal(folder)
    predictions = EmbeddedPredictor(folder).predict(images)
    found = {
        "probabilities": np.array([p.probabilities for p in predictions], np.float32),
        "ood_score": np.array([p.ood_score for p in predictions], np.float32),
    }
    gate(answers, found, "golden vectors through the embedded predictor")


def _out_of_fold(run: Path, fields: Sequence[Field]) -> Figures:
    """The figures ``out_of_fold``, or none where the run was not cross-validated."""
    found = out_of_fold_figures(run, fields)
    return {} if found is None else {"out_of_fold": found}


def _promoted(store: Path, name: str) -> Path | None:
    """The folder of the stable version, if there is one."""
    if not live_path(store, name).exists():
        return None
    return version_dir(store, name, read_live(store, name).stable)


def _regression(request: Request, out_of_fold: Figures, promoted: Path | None) -> Acceptance | None:
    """The gate that needs no measuring, and so comes before the minutes that measuring takes."""
    before = None if promoted is None else dict(ModelContract.load(promoted).metrics)
    return check_regression(out_of_fold, before, request.accept_regression)


def _accepted(report: Report, *acceptances: Acceptance | None) -> list[Acceptance]:
    """The gates that were passed over, each reported."""
    accepted = [acceptance for acceptance in acceptances if acceptance is not None]
    for acceptance in accepted:
        report(f"accepted: {acceptance.failure} Reason: {acceptance.reason}")
    return accepted


def _flips(
    promoted: Path | None, folder: Path, calibration: Sequence[Field], report: Report
) -> list[Flip]:
    """The calibration fields that the new version answers otherwise than the promoted one."""
    if promoted is None:
        return []
    flips = flipped(calibration, EmbeddedPredictor(promoted), EmbeddedPredictor(folder))
    for line in summary(flips):
        report(line)
    return flips


def _write_card(
    request: Request,
    contract: ModelContract,
    decision: Decision,
    accepted: Sequence[Acceptance],
    flips: Sequence[Flip],
    folder: Path,
) -> None:
    """``model_card.json``, which holds everything the text says, and the text."""
    card: dict[str, Any] = {
        "name": contract.name,
        "version": contract.version,
        "architecture": contract.architecture,
        "note": request.note,
        "labels": list(contract.labels),
        "decision": dataclasses.asdict(decision) | {"group_risk": decision.group_risk},
        "training": json.loads((request.run / CONFIG).read_bytes()),
        "history": read_history(request.run),
        "accepted": [dataclasses.asdict(acceptance) for acceptance in accepted],
        "flips": record(flips),
        "figures": dict(contract.metrics),
    }
    extra = folder / "assets.extra"
    (extra / "model_card.json").write_text(json.dumps(card, indent=1) + "\n")
    (extra / "model_card.md").write_text(render(card))
