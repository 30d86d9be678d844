"""What a published version does, measured on the path that serves users: ``pipeline.screen``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diagnosis.core.errors import ImageRefusedError
from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.imaging.preprocess import cover
from diagnosis.core.pipeline import Outcome, screen
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.state import Headline
from export.config import CONFIDENT, COVERED, FITTED_SOURCES, UNSEEN_SOURCES
from export.data.dataset import Field, labels_of, load_canonical, read_fields, source_files
from export.data.split import official_split
from export.evaluation.metrics import (
    REFUSED,
    Figures,
    area_under_roc,
    calibration_error,
    classification,
    clopper_pearson,
    proportion,
)
from export.evaluation.shortcuts import audit


def measure(version_dir: Path, data_dir: Path) -> Figures:
    """All figures of the version in ``version_dir``: calibration split and other sources.

    Raises:
        DataError: the data folder is not as described.
        ContractError: the version cannot be loaded.
    """
    predictor = EmbeddedPredictor(version_dir)
    _, calibration = official_split(read_fields(data_dir))
    sources = {
        source: measure_source(source_files(data_dir, kind, source), predictor)
        | {"used_to_choose": (kind, source) in FITTED_SOURCES}
        for kind, source in (*FITTED_SOURCES, *UNSEEN_SOURCES)
    }
    return {
        "calibration": measure_fields(calibration, predictor),
        "sources": sources,
        "audit": audit(calibration, predictor),
    }


def measure_fields(fields: Sequence[Field], predictor: EmbeddedPredictor) -> Figures:
    """Figures of labelled fields: classes, headlines of each class, calibration error."""
    outcomes = [screen_file(field.path, predictor) for field in fields]
    predicted = np.array([_class_of(outcome) for outcome in outcomes])
    labels = labels_of(fields)
    headlines = {
        name: dict(Counter(_headline(o) for o, label in zip(outcomes, labels, strict=True)
                           if label == i))
        for i, name in enumerate(LABELS)
    }  # fmt: skip
    judged = [i for i, o in enumerate(outcomes) if o is not None and o.prediction is not None]
    probabilities = np.array([outcomes[i].prediction.probabilities for i in judged])  # type: ignore[union-attr]
    groups = [field.group for field in fields]
    confident = np.array([_headline(outcome) in CONFIDENT for outcome in outcomes])
    return classification(labels, predicted, groups) | {
        "split": "calibration",
        "headlines": headlines,
        "confident": proportion(confident, groups),
        "area_under_roc": area_under_roc(probabilities, labels[judged]),
        "expected_calibration_error": calibration_error(probabilities, labels[judged]),
    }


def measure_source(files: Sequence[Path], predictor: EmbeddedPredictor) -> Figures:
    """How many images of another source pass validation, and how many get a confident verdict.

    ``strange`` counts those beyond ``ood_max`` with validation left aside: what the second gate
    would hold back if the first were not there.
    """
    headlines = [_headline(screen_file(path, predictor)) for path in files]
    accepted = sum(headline != Headline.REJECTED for headline in headlines)
    confident = sum(headline in CONFIDENT for headline in headlines)
    images = np.stack([cover(image, COVERED) for image in load_canonical(files)])
    scores = np.array([prediction.ood_score for prediction in predictor.predict(images)])
    strange = int((scores > predictor.contract.ood_max).sum())
    return {
        "n": len(files),
        "accepted": accepted,
        "accepted_interval": list(clopper_pearson(accepted, len(files))),
        "confident": confident,
        "confident_interval": list(clopper_pearson(confident, len(files))),
        "strange": strange,
        "strange_interval": list(clopper_pearson(strange, len(files))),
    }


def screen_file(path: Path, predictor: EmbeddedPredictor) -> Outcome | None:
    """The outcome of one file; ``None`` where it cannot even be decoded."""
    try:
        return screen(path.read_bytes(), predictor.contract, predictor)
    except ImageRefusedError:
        return None


def _headline(outcome: Outcome | None) -> str:
    return str(Headline.REJECTED if outcome is None else outcome.headline)


def _class_of(outcome: Outcome | None) -> int:
    if outcome is None or outcome.predicted_class is None:
        return REFUSED
    return LABELS.index(outcome.predicted_class)
