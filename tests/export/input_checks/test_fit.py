"""The choice of templates, and the report."""

import re
from pathlib import Path

import numpy as np
import pytest

from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.imaging.validate import FIXES, colour_histogram, histogram_correlation
from export.config import COVERED
from export.data.dataset import read_fields
from export.input_checks import fit as screening
from export.input_checks import report as screening_report
from export.input_checks.fit import (
    THRESHOLDS,
    choose_templates,
    correlations,
    fewest_templates,
    fit_validation_profile,
    fitted_files,
    measure_files,
    measuring_contract,
    shuffled,
)
from tests.product import ROOT

NOBODY = np.zeros((4, 0), np.float32)


def test_bulk_correlations_are_those_of_validation() -> None:
    drawn = np.stack([colour_histogram(draw_smear(s, 224, 224), COVERED) for s in range(4)])
    drawn[3] = 1 / 256  # flat
    bulk = correlations(drawn, drawn[:2])
    assert bulk.shape == (4, 2)
    for row, histogram in zip(bulk, drawn, strict=True):
        one_by_one = [histogram_correlation(histogram, drawn[t : t + 1]) for t in range(2)]
        np.testing.assert_allclose(row, one_by_one, atol=1e-5)


class TestChooseTemplates:
    # Field 1 resembles 0 and 2; 3 stands alone.
    ALIKE = np.array(
        [[1, 0.7, 0.1, 0], [0.7, 1, 0.8, 0], [0.1, 0.8, 1, 0], [0, 0, 0, 1]], np.float32
    )

    def test_takes_the_medoid_and_then_what_is_still_missing(self) -> None:
        assert choose_templates(self.ALIKE, NOBODY, 2) == [1, 3]

    def test_counts_what_passes_rather_than_how_well(self) -> None:
        alike = np.array([[1, 0.59, 0.59], [0.59, 1, 0.61], [0.59, 0.61, 1]], np.float32)
        alike[0, 1:] = alike[1:, 0] = 0.599
        assert choose_templates(alike, np.zeros((3, 0), np.float32), 1)[0] in (1, 2)

    def test_among_equals_the_one_that_lets_fewest_strangers_in(self) -> None:
        alike = np.ones((3, 3), np.float32)
        strange = np.array([[0.7, 0.7], [0.7, 0.1], [0.9, 0.9]], np.float32)
        assert choose_templates(alike, strange, 1) == [1]

    def test_among_equals_of_those_the_most_central(self) -> None:
        alike = np.array([[1, 0.7, 0.7], [0.7, 1, 0.9], [0.7, 0.9, 1.1]], np.float32)
        assert choose_templates(alike, np.zeros((3, 0), np.float32), 1) == [2]

    def test_never_takes_one_twice(self) -> None:
        twins = np.ones((4, 4), np.float32)
        assert sorted(choose_templates(twins, NOBODY, 4)) == [0, 1, 2, 3]


def test_takes_the_fewest_templates_that_do() -> None:
    train = {1: 0.98, 2: 0.996, 3: 1.0}
    assert fewest_templates(train, {1: [0.0], 2: [0.0], 3: [0.0]}) == 2
    assert fewest_templates(train, {1: [0.0], 2: [0.0, 0.5], 3: [0.0, 0.01]}) == 3
    assert fewest_templates(train, {1: [0.2], 2: [0.2], 3: [0.2]}) == 3


def test_profile_is_what_validate_needs(small_set: tuple[Path, list[dict[str, str]]]) -> None:
    fields = read_fields(small_set[0])
    profile = fit_validation_profile([f.path for f in fields], fitted_files(small_set[0]))
    assert profile.templates.shape == (screening.TEMPLATES, 3, 256)
    assert profile.templates.dtype == np.float32
    np.testing.assert_allclose(profile.templates.sum(axis=2), 1, rtol=1e-5)
    assert profile.thresholds.keys() == FIXES.keys()
    assert profile.thresholds["colour_histogram"] == 0.6


def test_measured_decisions_are_those_of_validate(
    small_set: tuple[Path, list[dict[str, str]]],
) -> None:
    paths = [field.path for field in read_fields(small_set[0])]
    profile = fit_validation_profile(paths[:3], [])
    measured = measure_files(paths, measuring_contract(profile))
    np.testing.assert_allclose(measured.scored(profile.templates), measured.scores, atol=1e-5)
    assert measured.accepted(profile.templates).all()
    one = measured.scored(profile.templates[:1])[:, 0]
    assert (one <= measured.scores[:, 0] + 1e-5).all()
    assert (one < measured.scores[:, 0] - 1e-3).any()


@pytest.mark.parametrize("block", [1, 16, 112])
def test_shuffling_moves_every_block_and_changes_no_pixel(block: int) -> None:
    field = draw_smear(1, 224, 224)
    moved = decode(shuffled(block, np.random.default_rng(1))(field)).rgb
    np.testing.assert_array_equal(field, draw_smear(1, 224, 224))  # left as it was
    assert not np.array_equal(moved, field)
    flat = [np.sort(image.reshape(-1, 3).view("u1,u1,u1"), axis=0) for image in (field, moved)]
    np.testing.assert_array_equal(*flat)
    before, after = (
        image.reshape(224 // block, block, 224 // block, block, 3).swapaxes(1, 2)
        for image in (field, moved)
    )
    assert (after == before[0, 0]).all(axis=(2, 3, 4)).any()
    if block > 1:  # single pixels often equal another
        assert not (after == before).all(axis=(2, 3, 4)).any()


def test_report_of_a_small_set(
    small_set: tuple[Path, list[dict[str, str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(screening_report, "SYNTHETIC_SEEDS", 2)
    monkeypatch.setattr(screening_report, "SYNTHETIC_SIZES", ((224, 224),))
    monkeypatch.setattr(screening_report, "SHUFFLED_BLOCKS", (1, 16))
    screening_report.write_report(small_set[0], tmp_path / "validation.md")
    text = (tmp_path / "validation.md").read_text(encoding="utf-8")
    assert "| train (templates chosen here) | 8 | 4 | 8 (100.00%)" in text
    assert "| calibration | 8 | 4 | 8 (100.00%)" in text
    # The one image of each source is itself a drawn smear: the report must say it got through.
    assert "| `not_smear/xray` | nothing | 1 | 0 (0.0%) | 0.0% to 97.5% |" in text
    assert "| shuffled, blocks of 1×1 | 8 | 100.0% | 63.1% to 100.0% | structure 8" in text
    assert "| 224×224 | 2 of 2 | none |" in text


def test_committed_report_has_the_thresholds_of_the_code() -> None:
    text = (ROOT / "docs/validation.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", text, flags=re.MULTILINE))
    assert {name: float(rows[name]) for name in FIXES} == THRESHOLDS
