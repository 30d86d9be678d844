"""Each check refuses what it is for, and good fields pass all of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from diagnosis.core.errors import ContractError
from diagnosis.core.formats.decode import DecodedImage, decode
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.imaging.preprocess import preprocess
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.imaging.validate import (
    FIXES,
    ValidationReport,
    colour_histogram,
    histogram_correlation,
    validate,
)
from diagnosis.core.predictors.store import read_live, version_dir
from export.config import model_name
from export.data.dataset import Field, read_fields, source_files
from export.input_checks.fit import (
    Change,
    Measured,
    ValidationProfile,
    enlarged,
    fit_validation_profile,
    fitted_files,
    measure,
    measure_files,
    measuring_contract,
    shuffled,
)
from tests.diagnosis.made.pictures import drawn
from tests.product import ROOT

Pixels = NDArray[np.uint8]
STORE = ROOT / "serving/models"


@pytest.fixture(scope="session")
def contract() -> ModelContract:
    """The contract of the live version."""
    return ModelContract.load(
        version_dir(STORE, model_name(), read_live(STORE, model_name()).stable)
    )


def check(pixels: Pixels, contract: ModelContract) -> ValidationReport:
    decoded = DecodedImage(pixels, width=pixels.shape[1], height=pixels.shape[0])
    return validate(decoded, preprocess(pixels, contract), contract)


def failures(pixels: Pixels, contract: ModelContract) -> set[str]:
    return {failed.name for failed in check(pixels, contract).failed}


def page(text: str = "") -> Pixels:
    paper = np.full((768, 1024, 3), 250, np.uint8)
    for line in range(18):
        cv2.putText(paper, text, (40, 40 + 40 * line), cv2.FONT_HERSHEY_PLAIN, 2, (30, 30, 30), 2)
    return paper


def mixed(block: int) -> Callable[[Pixels], Pixels]:
    return lambda field: decode(shuffled(block, np.random.default_rng(7))(field)).rgb


def shuffled_rows(field: Pixels) -> Pixels:
    return field[np.random.default_rng(2).permutation(len(field))]


def shuffled_columns(field: Pixels) -> Pixels:
    return np.ascontiguousarray(shuffled_rows(field.swapaxes(0, 1)).swapaxes(0, 1))


def blurred(field: Pixels) -> Pixels:
    return np.asarray(cv2.GaussianBlur(field, (0, 0), 3), np.uint8)


def times(factor: float) -> Callable[[Pixels], Pixels]:
    return lambda field: np.clip(field * factor, 0, 255).astype(np.uint8)


def noise(field: Pixels) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, field.shape, np.uint8)


NO_SMEAR: dict[str, Callable[[], Pixels]] = {
    "blank paper": page,
    "a receipt": lambda: page("Total 12.50 Cash 20.00 Change 7.50"),
    "black": lambda: np.zeros((300, 300, 3), np.uint8),
    "red cells alone": lambda: draw_smear(2, 224, 224, nucleated=0),
}


class TestGoodFields:
    @pytest.mark.parametrize(("height", "width"), [(224, 224), (768, 1024), (1944, 2592)])
    @pytest.mark.parametrize("seed", range(4))
    def test_a_drawn_smear_passes_at_every_size(
        self, seed: int, height: int, width: int, contract: ModelContract
    ) -> None:
        assert failures(drawn(seed, height, width), contract) == set()

    @pytest.mark.parametrize("seed", range(3))
    @pytest.mark.parametrize("interpolation", [cv2.INTER_CUBIC, cv2.INTER_LINEAR])
    def test_a_larger_file_of_the_same_field_scores_alike(
        self, seed: int, interpolation: int, contract: ModelContract
    ) -> None:
        field = drawn(seed)
        larger = decode(enlarged(2592, 1944, interpolation)(field))
        canonical = preprocess(larger.rgb, contract)
        after = {c.name: c.score for c in validate(larger, canonical, contract).checks}
        before = {c.name: c.score for c in check(field, contract).checks}
        for name in before.keys() - {"size", "aspect"}:
            assert after[name] == pytest.approx(before[name], abs=0.08), name
        assert after["size"] == 1944

    def test_the_corner_that_the_model_does_not_see_changes_nothing(
        self, contract: ModelContract
    ) -> None:
        field = drawn(3)
        marked = field.copy()
        area = contract.covered
        noise_there = np.random.default_rng(0).integers(0, 256, marked.shape, np.uint8)
        corner = np.s_[area.top : area.bottom, area.left : area.right]
        marked[corner] = noise_there[corner]
        assert check(marked, contract) == check(field, contract)

    def test_a_dark_area_behind_the_covered_corner_is_no_straight_edge(
        self, contract: ModelContract
    ) -> None:
        shade = np.zeros((224, 224), np.float32)
        shade[150:, 120:] = 0.6
        shade = np.asarray(cv2.GaussianBlur(shade, (0, 0), 15), np.float32)
        field = drawn(2) * (1 - shade[..., np.newaxis])
        scores = {c.name: c.score for c in check(field.astype(np.uint8), contract).checks}
        assert scores["straight_edges"] > 0.5


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("structure", mixed(1)),
            ("structure", mixed(2)),
            ("structure", mixed(4)),
            ("structure", shuffled_rows),
            ("structure", shuffled_columns),
            ("straight_edges", mixed(8)),
            ("straight_edges", mixed(16)),
            ("straight_edges", mixed(56)),
            ("structure", noise),
            ("focus", blurred),
            ("brightness", times(0.6)),
            ("overexposure", times(1.8)),
            ("size", lambda field: np.asarray(cv2.resize(field, (223, 400)), np.uint8)),
            ("aspect", lambda field: np.asarray(cv2.resize(field, (1024, 500)), np.uint8)),
        ],
    )
    @pytest.mark.parametrize("seed", [0, 5])
    def test_a_spoiled_field_fails_the_check_made_for_it(
        self, name: str, change: Callable[[Pixels], Pixels], seed: int, contract: ModelContract
    ) -> None:
        field = drawn(seed)
        assert name not in failures(field, contract)
        assert name in failures(change(field), contract)

    def test_shuffling_is_invisible_to_the_histogram(self, contract: ModelContract) -> None:
        corner = contract.covered
        field = drawn(5).copy()
        field[corner.top : corner.bottom, corner.left : corner.right] = 255  # no mark to spread
        before, after = check(field, contract), check(mixed(1)(field), contract)
        assert after.checks[0].passed
        assert after.score == pytest.approx(before.score, abs=0.05)

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("field_content", "blank paper"),
            ("overexposure", "blank paper"),
            ("straight_edges", "a receipt"),
            ("structure", "a receipt"),
            ("nucleated_cells", "a receipt"),
            ("brightness", "black"),
            ("nucleated_cells", "red cells alone"),
        ],
    )
    def test_no_smear_fails_the_check_made_for_it(
        self, name: str, kind: str, contract: ModelContract
    ) -> None:
        assert name in failures(NO_SMEAR[kind](), contract)

    def test_another_colour_balance_fails_the_histogram_alone(
        self, contract: ModelContract
    ) -> None:
        cast = drawn(4).astype(float) * (1, 0.93, 0.85)
        assert failures(cast.astype(np.uint8), contract) == {"colour_histogram"}


class TestReport:
    def test_the_histogram_comes_first_with_the_threshold_of_the_method(
        self, contract: ModelContract
    ) -> None:
        report = check(drawn(1), contract)
        assert report.checks[0].name == "colour_histogram"
        assert report.threshold == 0.6
        assert report.score == report.checks[0].score >= 0.6
        assert [c.name for c in report.checks] == list(FIXES)

    def test_every_check_says_in_a_sentence_what_to_do(self, contract: ModelContract) -> None:
        for one in check(page(), contract).checks:
            assert one.fix[0].isupper()
            assert one.fix.endswith(".")
            assert len(one.fix.split()) >= 8

    def test_a_contract_without_a_threshold_names_it(self, contract: ModelContract) -> None:
        fewer = {k: v for k, v in contract.thresholds.items() if k not in ("focus", "size")}
        with pytest.raises(ContractError, match="focus, size"):
            check(page(), dataclasses.replace(contract, thresholds=fewer))


@settings(max_examples=150, deadline=None)
@given(
    pixels=st.one_of(
        arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
        st.builds(
            lambda height, width, colour: np.full((height, width, 3), colour, np.uint8),
            st.integers(1, 700),
            st.integers(1, 700),
            st.tuples(*[st.integers(0, 255)] * 3),
        ),
    )
)
def test_any_pixels_whatever_get_finite_scores(pixels: Pixels, contract: ModelContract) -> None:
    report = check(pixels, contract)
    assert not report.accepted
    for one in report.checks:
        assert type(one.score) is float
        assert np.isfinite(one.score), one.name


class TestHistogram:
    def test_counts_the_visible_pixels_only(self, contract: ModelContract) -> None:
        area = contract.covered
        canonical = np.zeros((224, 224, 3), np.uint8)
        canonical[:, :, 1] = 9
        canonical[area.top : area.bottom, area.left : area.right] = 200
        histogram = colour_histogram(canonical, area)
        assert histogram.shape == (3, 256)
        assert histogram.dtype == np.float32
        assert histogram[0, 0] == histogram[1, 9] == histogram[2, 0] == 1
        assert histogram.sum() == 3

    def test_a_field_is_its_own_template(self, contract: ModelContract) -> None:
        corner = contract.covered
        ours, other = (colour_histogram(drawn(seed), corner) for seed in (1, 2))
        assert histogram_correlation(ours, ours[np.newaxis]) == pytest.approx(1)
        assert histogram_correlation(ours, other[np.newaxis]) < 0.99
        assert histogram_correlation(ours, np.stack([other, ours])) == pytest.approx(1)

    def test_channels_are_not_interchangeable(self, contract: ModelContract) -> None:
        field = drawn(1)
        ours = colour_histogram(field, contract.covered)
        swapped = colour_histogram(np.ascontiguousarray(field[..., ::-1]), contract.covered)
        assert histogram_correlation(swapped, ours[np.newaxis]) < 0.6

    def test_a_flat_histogram_resembles_nothing(self, contract: ModelContract) -> None:
        # OpenCV alone answers 1 here: a crafted colour ramp would pass as a smear.
        flat = np.full((3, 256), 1 / 256, np.float32)
        assert histogram_correlation(flat, contract.histogram_templates) == 0


@pytest.fixture(scope="session")
def fields(data_dir: Path) -> list[Field]:
    return read_fields(data_dir)


@pytest.fixture(scope="session")
def profile(data_dir: Path, fields: list[Field]) -> ValidationProfile:
    train = [field.path for field in fields if field.split == "train"]
    return fit_validation_profile(train, fitted_files(data_dir))


@pytest.fixture(scope="session")
def calibration(fields: list[Field]) -> list[DecodedImage]:
    return [decode(field.path.read_bytes()) for field in fields if field.split == "calibration"]


@pytest.fixture(scope="session")
def accepted(profile: ValidationProfile, calibration: list[DecodedImage]) -> NDArray[np.bool_]:
    measured = measure(calibration, measuring_contract(profile))
    return measured.accepted(profile.templates)


def changed(images: list[DecodedImage], change: Change, profile: ValidationProfile) -> Measured:
    """Scores of other files of the same pixels."""
    files = (decode(change(image.rgb)) for image in images)
    return measure(files, measuring_contract(profile))


@pytest.mark.data
@pytest.mark.xdist_group("real_fields")  # so that they are read once
class TestRealFields:
    """The aims of the project, on fields and sources that the thresholds were not taken from."""

    def test_the_published_contract_is_the_fitted_one(
        self, profile: ValidationProfile, contract: ModelContract
    ) -> None:
        assert contract.thresholds == profile.thresholds
        np.testing.assert_allclose(contract.histogram_templates, profile.templates, atol=1e-7)

    def test_calibration_fields_are_accepted(self, accepted: NDArray[np.bool_]) -> None:
        assert accepted.mean() >= 0.99

    @pytest.mark.parametrize("source", ["document", "misc", "he", "skin", "xray"])
    def test_what_is_no_smear_is_refused(
        self, source: str, profile: ValidationProfile, data_dir: Path
    ) -> None:
        files = source_files(data_dir, "not_smear", source)
        measured = measure_files(files, measuring_contract(profile))
        assert measured.accepted(profile.templates).mean() <= 0.01

    @pytest.mark.parametrize("block", [1, 2, 4, 8, 16, 32, 56])
    def test_shuffled_fields_are_refused_by_their_structure(
        self, block: int, profile: ValidationProfile, calibration: list[DecodedImage]
    ) -> None:
        change = shuffled(block, np.random.default_rng(100 + block))
        measured = changed(calibration[::2], change, profile)
        names = list(FIXES)
        structural = [names.index("structure"), names.index("straight_edges")]
        assert not measured.passed(profile.templates)[:, structural].all(axis=1).any()

    @pytest.mark.parametrize(("width", "height", "step"), [(1024, 768, 5), (2592, 1944, 15)])
    @pytest.mark.parametrize("interpolation", [cv2.INTER_CUBIC, cv2.INTER_LINEAR])
    def test_enlarged_fields_get_the_same_decision(
        self,
        width: int,
        height: int,
        step: int,
        interpolation: int,
        profile: ValidationProfile,
        calibration: list[DecodedImage],
        accepted: NDArray[np.bool_],
    ) -> None:
        change = enlarged(width, height, interpolation)
        measured = changed(calibration[::step], change, profile)
        assert (measured.accepted(profile.templates) == accepted[::step]).all()

    def test_drawn_smears_pass_the_real_templates(self, profile: ValidationProfile) -> None:
        contract = measuring_contract(profile)
        passed = [check(drawn(seed), contract).accepted for seed in range(20)]
        assert np.mean(passed) >= 0.95
