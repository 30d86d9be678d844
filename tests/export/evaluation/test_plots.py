import re
from pathlib import Path

import numpy as np
import pytest

from export.evaluation import plots
from export.evaluation.metrics import area_under_roc, calibration_error

LABELS = np.arange(2500) % 4
LOGITS = np.random.default_rng(3).normal(0, 1, (2500, 4)) + 3 * np.eye(4)[LABELS]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
CONFUSION = [[70, 2, 1, 0, 1], [0, 140, 8, 0, 0], [0, 3, 145, 0, 0], [1, 0, 0, 127, 0]]
HISTORY = [
    {"epoch": i + 1.0, "accuracy": 1 - 0.6 * 0.9**i, "held_out_accuracy": 1 - 0.7 * 0.9**i}
    for i in range(45)
]


def words(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return draw_everything(tmp_path_factory.mktemp("pictures"))


def draw_everything(folder: Path) -> list[Path]:
    paths = [folder / f"{name}.svg" for name in ("confusion", "curves", "roc", "bins", "risk")]
    rng = np.random.default_rng(4)  # five networks that know nothing make the longest curves
    answers = {f"net {i}": (rng.dirichlet(np.ones(4), len(LABELS)), LABELS) for i in range(5)}
    plots.draw_confusion(CONFUSION, paths[0])
    plots.draw_learning_curves({f"net {i}": HISTORY for i in range(5)}, paths[1])
    plots.draw_roc(answers["net 0"][0], LABELS, paths[2])
    plots.draw_reliability(PROBABILITIES, LABELS, paths[3])
    plots.draw_risk_coverage(answers, paths[4], {"net 0": (0.9, 0.01)})
    return paths


def test_the_same_numbers_give_the_same_small_files(drawn: list[Path], tmp_path: Path) -> None:
    for ours, theirs in zip(drawn, draw_everything(tmp_path), strict=True):
        assert ours.read_bytes() == theirs.read_bytes()
        assert 2_000 < ours.stat().st_size < 60_000, ours.name


@pytest.mark.parametrize(
    ("picture", "axes"),
    [
        ("confusion", ["answer", "label"]),
        ("curves", ["epoch", "accuracy"]),
        ("roc", ["1 − specificity", "sensitivity"]),
        ("bins", ["largest probability", "share that is right", "fields"]),
        ("risk", ["share of fields answered", "wrong among answered, %"]),
    ],
)
def test_every_axis_says_what_it_shows(picture: str, axes: list[str], drawn: list[Path]) -> None:
    (path,) = (p for p in drawn if p.stem == picture)
    assert set(axes) <= set(words(path))


def test_confusion_shows_every_count_and_refusals_only_where_there_are_some(
    tmp_path: Path,
) -> None:
    plots.draw_confusion(CONFUSION, tmp_path / "with.svg")
    shown = words(tmp_path / "with.svg")
    assert sorted(t for t in shown if t.isdigit()) == sorted(str(v) for r in CONFUSION for v in r)
    assert "refused" in shown
    plots.draw_confusion([[*row[:4], 0] for row in CONFUSION], tmp_path / "without.svg")
    assert "refused" not in words(tmp_path / "without.svg")


def test_learning_curves_name_every_network_once(tmp_path: Path) -> None:
    plots.draw_learning_curves({"one": HISTORY, "two": HISTORY}, tmp_path / "curves.svg")
    shown = words(tmp_path / "curves.svg")
    for name in ("one", "two", "held out", "training, augmented"):
        assert shown.count(name) == 1


def test_roc_areas_are_those_of_the_table(tmp_path: Path) -> None:
    plots.draw_roc(PROBABILITIES, LABELS, tmp_path / "roc.svg")
    areas = area_under_roc(PROBABILITIES, LABELS)
    expected = {"malignant": areas["malignant"], **areas["by_class"]}
    for name, area in expected.items():
        assert f"{name.removeprefix('Malignant ')}: {area:.4f}" in words(tmp_path / "roc.svg")


def test_roc_leaves_out_a_class_without_fields(tmp_path: Path) -> None:
    few = LABELS != 3
    plots.draw_roc(PROBABILITIES[few], LABELS[few], tmp_path / "roc.svg")
    shown = " ".join(words(tmp_path / "roc.svg"))
    assert "malignant: 0." in shown
    assert "Pro-B" not in shown.replace("Early Pre-B", "")


def test_reliability_states_the_calibration_error_of_the_table(tmp_path: Path) -> None:
    plots.draw_reliability(PROBABILITIES, LABELS, tmp_path / "bins.svg")
    error = calibration_error(PROBABILITIES, LABELS)
    assert error > 0.001
    assert f"measured, calibration error {error:.3f}" in words(tmp_path / "bins.svg")


def test_risk_coverage_of_five_fields_by_hand() -> None:
    """Right at 0.9, wrong at 0.8, right twice at 0.7 (no threshold parts them), wrong at 0.4."""
    probabilities = np.array(
        [
            [0.1, 0.1, 0.7, 0.1],
            [0.9, 0.1, 0.0, 0.0],
            [0.4, 0.2, 0.2, 0.2],
            [0.1, 0.8, 0.1, 0.0],
            [0.1, 0.1, 0.1, 0.7],
        ]
    )
    coverage, risk = plots.risk_coverage(probabilities, np.array([2, 0, 3, 0, 3]))
    np.testing.assert_allclose(coverage, [0.2, 0.4, 0.8, 1.0])
    np.testing.assert_allclose(risk, [0.0, 1 / 2, 1 / 4, 2 / 5])


def test_the_abstention_point_is_named_where_it_is_known(tmp_path: Path) -> None:
    answers = dict.fromkeys(("one", "two"), (PROBABILITIES, LABELS))
    plots.draw_risk_coverage(answers, tmp_path / "risk.svg", {"two": (0.8, 0.02)})
    shown = words(tmp_path / "risk.svg")
    assert "two, confident headlines" in shown
    assert "one, confident headlines" not in shown
