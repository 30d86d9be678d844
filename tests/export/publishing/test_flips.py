import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diagnosis.core.imaging.contract import LABELS, ModelContract
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.predictors.base import Prediction
from export.data.dataset import Field
from export.publishing.flips import (
    BROKEN,
    HEADLINE_ONLY,
    MENDED,
    STILL_WRONG,
    counts,
    flipped,
    record,
    summary,
)

BENIGN, EARLY, PRE, PRO = range(4)


class Scripted:
    """Answers field after field as told: class, its probability and the out-of-domain score."""

    def __init__(self, contract: ModelContract, answers: list[tuple[int, float, float]]) -> None:
        self.contract, self._answers = contract, iter(answers)

    def predict(self, images: np.ndarray) -> list[Prediction]:
        assert len(images) == 1
        label, share, score = next(self._answers)
        rest = (1 - share) / 3
        return [Prediction(tuple(share if i == label else rest for i in range(4)), score)]


@pytest.fixture
def contract(published: Path) -> ModelContract:
    return dataclasses.replace(
        ModelContract.load(published), ood_max=1.0, suspicious_min=0.5, not_suspicious_max=0.01
    )


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> list[Field]:
    """Five drawn Pre-B fields, which the published version takes for smears."""
    folder = tmp_path_factory.mktemp("fields") / "Pre"
    folder.mkdir()
    paths = [folder / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(paths):
        Image.fromarray(draw_smear(seed)).save(path)
    return [Field(path, PRE, "group", "calibration", path.name) for path in paths]


OLD = [(PRE, 0.9, 0.5), (EARLY, 0.8, 0.5), (PRE, 0.9, 0.5), (EARLY, 0.8, 0.5), (PRE, 0.9, 0.5)]
NEW = [(PRE, 0.7, 0.5), (PRE, 0.6, 0.5), (BENIGN, 0.9, 0.5), (PRO, 0.8, 0.5), (PRE, 0.9, 1.5)]


def test_fields_are_told_by_what_became_of_them(
    fields: list[Field], contract: ModelContract
) -> None:
    flips = flipped(fields, Scripted(contract, OLD), Scripted(contract, NEW))  # type: ignore[arg-type]
    assert [(flip.file, flip.kind) for flip in flips] == [
        ("Pre/1.png", MENDED),
        ("Pre/2.png", BROKEN),
        ("Pre/3.png", STILL_WRONG),
        ("Pre/4.png", HEADLINE_ONLY),
    ]
    assert counts(flips) == {MENDED: 1, BROKEN: 1, STILL_WRONG: 1, HEADLINE_ONLY: 1}
    mended = flips[0]
    assert (mended.label, mended.old.predicted_class) == (LABELS[PRE], LABELS[EARLY])
    assert mended.old.probability == pytest.approx(0.8)
    assert mended.new.probability == pytest.approx(0.6)
    assert (flips[3].old.headline, flips[3].new.headline) == ("suspicious", "indeterminate")


def test_a_field_that_one_version_refuses_has_flipped(
    fields: list[Field], contract: ModelContract
) -> None:
    strict = dataclasses.replace(
        contract, thresholds={**contract.thresholds, "colour_histogram": 1.1}
    )
    flips = flipped(fields[:2], Scripted(strict, []), Scripted(contract, NEW))  # type: ignore[arg-type]
    assert [flip.kind for flip in flips] == [MENDED, MENDED]
    assert dataclasses.astuple(flips[0].old) == ("rejected", None, None)
    flips = flipped(fields[:2], Scripted(contract, OLD), Scripted(strict, []))  # type: ignore[arg-type]
    assert [flip.kind for flip in flips] == [BROKEN, STILL_WRONG]
    assert "→ rejected" in summary(flips)[1]


def test_a_file_that_cannot_be_decoded_is_refused_by_both(
    tmp_path: Path, contract: ModelContract
) -> None:
    path = tmp_path / "0.png"
    path.write_bytes(b"no picture")
    field = Field(path, PRE, "group", "calibration", "")
    assert flipped([field], Scripted(contract, []), Scripted(contract, [])) == []  # type: ignore[arg-type]


def test_the_summary_counts_and_then_lists_by_kind(
    fields: list[Field], contract: ModelContract
) -> None:
    flips = flipped(fields, Scripted(contract, OLD), Scripted(contract, NEW))  # type: ignore[arg-type]
    lines = summary(list(reversed(flips)))
    assert lines[0] == "1 mended, 1 broken, 1 wrong in another way, 1 changed headline only"
    assert lines[1] == (
        f"mended: Pre/1.png ({LABELS[PRE]}): suspicious, {LABELS[EARLY]} 0.800 "
        f"→ suspicious, {LABELS[PRE]} 0.600"
    )
    assert [line.split(":")[0] for line in lines[2:]] == [BROKEN, STILL_WRONG, HEADLINE_ONLY]


def test_the_record_holds_counts_and_cases(fields: list[Field], contract: ModelContract) -> None:
    flips = flipped(fields, Scripted(contract, OLD), Scripted(contract, NEW))  # type: ignore[arg-type]
    kept = record(flips)
    assert kept["counts"][BROKEN] == 1
    assert len(kept["cases"]) == 4
    assert kept["cases"][1]["kind"] == BROKEN
    assert kept["cases"][1]["new"] == {
        "headline": "indeterminate",
        "predicted_class": LABELS[BENIGN],
        "probability": pytest.approx(0.9),
    }
