"""What a version's training fields look like, and from where on others have drifted from them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.drift import (
    FEWEST,
    PER_PATIENT,
    STATISTICS,
    Limits,
    Reference,
    distance,
    quantiles,
)
from diagnosis.core.files import replacing
from diagnosis.core.pipeline import prepare
from diagnosis.core.predictors.base import Predictor
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from export.data.dataset import Field
from export.data.split import official_split
from export.errors import DataError

# Of windows of honest fields, this share may reach a level by any of the statistics.
WATCH, DRIFT = 0.05, 0.01
PATIENTS = FEWEST // PER_PATIENT  # the fewest that a full window can be of
WINDOWS = 4000
BATCH = 16
LEAST_LIMIT = 0.05  # of a statistic that hardly varies; one odd field must not raise an alarm


def measure_inputs(fields: Sequence[Field], predictor: Predictor) -> NDArray[np.float64]:
    """Statistics of fields, each through the pipeline, float64 [N, len(STATISTICS)].

    ``ood_score`` is NaN for a field that validation refuses, because nobody asks the model.
    """
    rows = []
    for start in range(0, len(fields), BATCH):
        batch = [
            prepare(field.path.read_bytes(), predictor.contract)
            for field in fields[start : start + BATCH]
        ]
        accepted = [one.canonical for one in batch if one.validation.accepted]
        scores = iter(predictor.predict(np.stack(accepted)) if accepted else ())
        for one in batch:
            found = {check.name: check.score for check in one.validation.checks}
            found |= one.validation.stain
            found["ood_score"] = next(scores).ood_score if one.validation.accepted else np.nan
            rows.append([found[name] for name in STATISTICS])
    return np.array(rows)


def make_reference(
    train: NDArray[np.float64],
    train_groups: Sequence[str],
    held_out: NDArray[np.float64],
    held_out_groups: Sequence[str],
    contract_digest: str,
    windows: int = WINDOWS,
) -> Reference:
    """The reference of a version from the statistics of its data (``measure_inputs``).

    The limits come from windows as small and as clustered as any that is judged: ten
    pseudo-patients of all, ten fields each, against the training fields of the *other*
    pseudo-patients. Each statistic's limit is the same quantile of its own distances, chosen so
    that one window in twenty (``watch``) or a hundred (``drift``) passes any of them: the minP
    procedure of Westfall and Young, "Resampling-Based Multiple Testing" (1993), which keeps the
    correlation between statistics.

    Raises:
        DataError: there are fewer than twice as many pseudo-patients as a window needs.
    """
    values, groups = np.vstack([train, held_out]), np.array([*train_groups, *held_out_groups])
    names = check_groups(groups)
    of_train = np.arange(len(values)) < len(train)
    rng = np.random.default_rng(0)
    distances = np.empty((windows, len(STATISTICS)))
    for row in distances:
        window, chosen = _window(groups, names, rng)
        row[:] = _distances(values[of_train & ~chosen], values[window])
    limits = [_limits(distances, share) for share in (WATCH, DRIFT)]
    return Reference(
        contract_digest=contract_digest,
        fields=len(train),
        groups=len(np.unique(train_groups)),
        values={
            name: quantiles(_known(train[:, column])) for column, name in enumerate(STATISTICS)
        },
        limits={
            name: Limits(float(limits[0][column]), float(limits[1][column]))
            for column, name in enumerate(STATISTICS)
        },
        false_alarms={"watch": WATCH, "drift": DRIFT}
        | _measured(train, held_out, np.array(held_out_groups), limits, rng, windows // 4),
    )


def check_groups(groups: Sequence[str] | NDArray[np.str_]) -> NDArray[np.str_]:
    """The names of the groups, if they are enough to calibrate limits.

    Raises:
        DataError: they are not.
    """
    names = np.unique(groups)
    if len(names) < 2 * PATIENTS:
        raise DataError(
            f"Limits on drift need {2 * PATIENTS} groups, and there are {len(names)}; there is "
            "no reference without them."
        )
    return names


def reference_of(version_dir: Path, fields: Sequence[Field]) -> Reference:
    """The reference of a published version, made of the fields that it was trained on.

    Raises:
        DataError: as for ``make_reference``.
    """
    check_groups([field.group for field in fields])
    train, held_out = official_split(fields)
    predictor = EmbeddedPredictor(version_dir)
    return make_reference(
        measure_inputs(train, predictor),
        [field.group for field in train],
        measure_inputs(held_out, predictor),
        [field.group for field in held_out],
        predictor.contract.digest,
    )


def write_reference(reference: Reference, path: Path) -> None:
    """Readers see a whole file, before and after."""
    with replacing(path, path.with_name(f".{path.name}.new")) as file:
        file.write(reference.to_json())


def _window(
    groups: NDArray[np.str_], names: NDArray[np.str_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows of one window, and all rows of its groups."""
    picked = rng.choice(names, PATIENTS, replace=False)
    rows = []
    for name in picked:
        of_group = np.flatnonzero(groups == name)
        rows.append(rng.choice(of_group, min(PER_PATIENT, len(of_group)), replace=False))
    return np.concatenate(rows), np.isin(groups, picked)


def _distances(reference: NDArray[np.float64], window: NDArray[np.float64]) -> list[float]:
    return [
        distance(quantiles(_known(expected)), np.sort(_known(found)))
        for expected, found in zip(reference.T, window.T, strict=True)
    ]


def _known(column: NDArray[np.float64]) -> NDArray[np.float64]:
    return column[~np.isnan(column)]


def _limits(distances: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Limit of each statistic, such that ``share`` of the windows pass any of them."""
    place = distances.argsort(axis=0).argsort(axis=0) / len(distances)
    limits = np.quantile(distances, np.quantile(place.max(axis=1), 1 - share), axis=0)
    return np.maximum(limits, LEAST_LIMIT)


def _measured(
    train: NDArray[np.float64],
    held_out: NDArray[np.float64],
    groups: NDArray[np.str_],
    limits: Sequence[NDArray[np.float64]],
    rng: np.random.Generator,
    windows: int,
) -> dict[str, float]:
    """How often windows of held-out fields alone reach each level against all training fields."""
    names = np.unique(groups)
    if len(names) < PATIENTS:
        return {}
    found = np.array(
        [_distances(train, held_out[_window(groups, names, rng)[0]]) for _ in range(windows)]
    )
    passed = [(found >= limit).any(axis=1).mean() for limit in limits]
    return {"held_out_watch": float(passed[0]), "held_out_drift": float(passed[1])}
