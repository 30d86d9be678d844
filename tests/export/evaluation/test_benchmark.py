import dataclasses
import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from export.__main__ import main
from export.data.dataset import Field, read_fields
from export.errors import RunError
from export.evaluation import benchmark as benchmarking
from export.evaluation.benchmark import (
    Answers,
    benchmark,
    quick_fields,
    quick_plan,
    read_answers,
)
from export.evaluation.benchmark_report import read_results, render, write_report
from export.evaluation.metrics import Figures, calibration_error, classification
from export.training.architectures import ARCHITECTURES
from export.training.calibrate import fit_temperature, softmax
from export.training.runs import TrainConfig
from tests.export.conftest import Rows

pytestmark = pytest.mark.xdist_group("benchmark")

SmallSet = tuple[Path, Rows]


class Killed(BaseException):
    """Stands for a kill at the worst moment a test can choose."""


def quiet(line: str) -> None:
    """Swallow progress."""


@pytest.fixture(scope="module")
def config(tiny_architecture: str) -> TrainConfig:
    return TrainConfig(
        architecture=tiny_architecture, epochs=2, batch_size=4, warmup_epochs=1, seed=7
    )


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where runs and results of the tiny architecture go."""
    folder = tmp_path_factory.mktemp("benchmark")
    return folder / "runs", folder / "results"


@pytest.fixture(scope="module")
def costs_alone(small_set: SmallSet, config: TrainConfig, places: tuple[Path, Path]) -> list[str]:
    """What lies there when only costs were measured; the reference of latency is a twin."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "twin", ARCHITECTURES[config.architecture])
        patch.setattr(benchmarking, "REFERENCE", "twin")
        benchmark([config], read_fields(small_set[0]), *places, 2, quiet, ("cost",))
    return sorted(path.name for place in places for path in place.rglob("*"))


@pytest.fixture(scope="module")
def made(
    small_set: SmallSet, config: TrainConfig, places: tuple[Path, Path], costs_alone: list[str]
) -> tuple[Path, Path]:
    """Runs and results of the tiny architecture, all parts."""
    benchmark([config], read_fields(small_set[0]), *places, 2, quiet, ("random", "grouped"))
    return places


def part(made: tuple[Path, Path], name: str) -> Figures:
    return json.loads((made[1] / f"tiny-{name}.json").read_text())


def cells(document: str, *starts: str) -> list[str]:
    """The cells after ``starts`` in the first row of a table that begins with them."""
    beginning = "| " + " | ".join(starts) + " |"
    (line, *_) = (line for line in document.splitlines() if line.startswith(beginning))
    return [cell.strip() for cell in line.removeprefix(beginning).strip("|").split("|")]


def test_every_part_is_kept_in_small_files_without_places_of_this_machine(
    made: tuple[Path, Path],
) -> None:
    names = sorted(path.name for path in made[1].iterdir())
    expected = ["cost.json", "grouped.csv", "grouped.json", "random.csv", "random.json"]
    assert names == [f"tiny-{name}" for name in expected]
    assert str(made[0].parent) not in "".join(p.read_text() for p in made[1].iterdir())


def test_random_part_holds_out_a_share_of_each_class_from_groups_it_learned(
    made: tuple[Path, Path], small_set: SmallSet
) -> None:
    answers = read_answers(made[1] / "tiny-random.csv")
    assert sorted(answers.labels) == [0, 1, 2, 3]
    assert sorted(answers.fold) == [1, 1, 2, 2]
    figures = part(made, "random")["figures"]
    right = int((answers.logits.argmax(axis=1) == answers.labels).sum())
    assert (figures["accuracy"]["successes"], figures["accuracy"]["n"]) == (right, 4)
    assert "leaky" in figures["split"]
    digest = json.loads((made[0] / "tiny/random/config.json").read_text())["training_data_digest"]
    held_out = {line.split(",")[0] for line in _lines(made[1] / "tiny-random.csv")[1:]}
    fields = read_fields(small_set[0])
    training = [field for field in fields if field.sha256 not in held_out]
    assert digest == benchmarking.data_digest(training)
    assert {f.group for f in training} >= set(answers.groups)


def test_grouped_part_is_the_table_and_the_figures_of_cross_validation(
    made: tuple[Path, Path],
) -> None:
    run = made[0] / "tiny/grouped"
    assert (made[1] / "tiny-grouped.csv").read_bytes() == (run / "out_of_fold.csv").read_bytes()
    figures = part(made, "grouped")["figures"]
    assert (figures["accuracy"]["n"], figures["accuracy"]["groups"]) == (16, 8)
    assert figures["painted_over"]["accuracy"]["n"] == 16
    answers = read_answers(made[1] / "tiny-grouped.csv")
    assert figures["expected_calibration_error"] == pytest.approx(
        calibration_error(answers.probabilities(), answers.labels)
    )
    for group in set(answers.groups):
        assert (
            len({f for f, g in zip(answers.fold, answers.groups, strict=True) if g == group}) == 1
        )


def test_learning_curves_are_kept_one_a_network(made: tuple[Path, Path]) -> None:
    assert [len(history) for history in part(made, "random")["histories"]] == [2]
    assert [len(history) for history in part(made, "grouped")["histories"]] == [2, 2]
    last = _lines(made[0] / "tiny/random/history.csv")[-1].split(",")
    kept = part(made, "random")["histories"][0][-1]
    names = _lines(made[0] / "tiny/random/history.csv")[0].split(",")
    for name, value in zip(names, last, strict=True):
        assert kept[name] == pytest.approx(float(value), rel=1e-5)


def test_cost_counts_parameters_and_bytes_and_compares_with_the_reference(
    made: tuple[Path, Path],
) -> None:
    cost = part(made, "cost")
    # 3·3·3·24 kernel, 4·24 normalisation, 24·4 + 4 dense
    assert cost["parameters"] == 648 + 96 + 100
    assert cost["saved_model_bytes"] > 4 * cost["parameters"]
    assert cost["litert_bytes"] > 4 * cost["parameters"]
    for way in ("litert", "saved_model"):
        ratio = cost[f"{way}_ms"] / cost["reference_ms"]
        assert cost[f"{way}_ratio"] == pytest.approx(ratio)


def test_latency_is_the_median_of_the_rounds_after_warming_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The clock is made to say 1 s a call while warming up, then 1, 9 and 2 ms."""
    monkeypatch.setattr(benchmarking, "WARM_UP", 1)
    monkeypatch.setattr(benchmarking, "ROUNDS", 3)
    calls = [seconds for each in (1.0, 0.001, 0.009, 0.002) for seconds in (each, 10 * each)]
    stamps = [stamp for seconds in calls for stamp in (0.0, seconds)]
    monkeypatch.setattr(benchmarking.time, "perf_counter", lambda: stamps.pop(0))
    monkeypatch.setattr(benchmarking, "Interpreter", _Instant)
    monkeypatch.setattr(benchmarking.tf.saved_model, "load", _Instant)
    measured = benchmarking.time_in_turn(tmp_path, ["one"])
    assert measured["one"] == pytest.approx({"saved_model_ms": 2.0, "litert_ms": 20.0})
    assert not stamps


class _Instant:
    """A runtime that answers at once."""

    def __init__(self, *args: object, **options: object) -> None:
        self.signatures = {"serving_default": self._answer}

    def get_signature_runner(self, name: str) -> object:
        return self.signatures[name]

    def _answer(self, image: np.ndarray) -> dict[str, object]:
        assert image.shape == (1, 224, 224, 3)
        return {"probabilities": benchmarking.tf.zeros((1, 4))}


def test_what_is_finished_is_not_made_again(
    made: tuple[Path, Path],
    small_set: SmallSet,
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before = {path.name: path.read_bytes() for path in made[1].iterdir()}
    fields = read_fields(small_set[0])
    # Without their runs, finished parts could not be made again.
    benchmark([config], fields, tmp_path / "runs", made[1], 2, quiet, ("random", "grouped"))
    assert {path.name: path.read_bytes() for path in made[1].iterdir()} == before
    assert not (tmp_path / "runs").exists()


def test_networks_begin_from_the_weights_given_for_their_architecture(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    file, fields = tmp_path / "a.weights.h5", read_fields(small_set[0])
    file.write_bytes(b"weights")
    weights = {config.architecture: file, "resnet50": tmp_path / "not asked for"}
    for protocol in ("random", "grouped"):
        folder = tmp_path / protocol
        benchmark([config], fields, folder / "runs", folder, 2, quiet, (protocol,), weights)
        kept = json.loads((folder / f"tiny-{protocol}.json").read_bytes())
        assert kept["config"]["weights"] == hashlib.sha256(b"weights").hexdigest()


def test_weights_without_an_architecture_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["benchmark", "--weights", "a.weights.h5"])
    assert "is not of the form ARCHITECTURE=FILE" in capsys.readouterr().err


def test_a_killed_benchmark_goes_on_where_it_was(
    small_set: SmallSet, config: TrainConfig, made: tuple[Path, Path], tmp_path: Path
) -> None:
    fields, parts = read_fields(small_set[0]), ("random", "grouped")
    runs, results = tmp_path / "runs", tmp_path / "results"

    def die(line: str) -> None:
        if line.startswith("fold 2"):
            raise Killed

    with pytest.raises(Killed):
        benchmark([config], fields, runs, results, 2, die, parts)
    assert sorted(p.name for p in results.iterdir()) == ["tiny-random.csv", "tiny-random.json"]
    first = runs / "tiny/grouped/fold-1of2/model.weights.h5"
    written = first.stat().st_mtime_ns
    said: list[str] = []
    benchmark([config], fields, runs, results, 2, said.append, parts)
    assert first.stat().st_mtime_ns == written
    assert any("fold-1of2 is finished" in line for line in said)
    whole = part(made, "grouped")["figures"]["confusion"]
    assert json.loads((results / "tiny-grouped.json").read_text())["figures"]["confusion"] == whole


def test_another_plan_does_not_pass_for_the_finished_one(
    made: tuple[Path, Path], small_set: SmallSet, config: TrainConfig
) -> None:
    longer = dataclasses.replace(config, epochs=3)
    with pytest.raises(RunError, match="other values of epochs"):
        benchmark([longer], read_fields(small_set[0]), *made, 2, quiet, ("random",))
    assert part(made, "random")["config"]["epochs"] == 2


def test_only_the_parts_asked_for_are_made(
    small_set: SmallSet, config: TrainConfig, tmp_path: Path
) -> None:
    said: list[str] = []
    fields = read_fields(small_set[0])
    benchmark([config], fields, tmp_path / "runs", tmp_path, 2, said.append, ("random",))
    assert [p.name for p in sorted(tmp_path.glob("tiny*"))] == [
        "tiny-random.csv",
        "tiny-random.json",
    ]
    assert [p.name for p in (tmp_path / "runs/tiny").iterdir()] == ["random"]


def test_cost_needs_no_training(costs_alone: list[str]) -> None:
    assert costs_alone == ["tiny-cost.json"]


def test_the_temperature_of_a_half_comes_from_the_other() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 400)
    logits = (rng.normal(0, 1, (400, 4)) + 2 * np.eye(4)[labels]).astype(np.float32)
    fold = 1 + np.arange(400) % 2
    logits[fold == 2] *= 5
    answers = Answers(labels, ["one"] * 400, fold, logits).probabilities()
    sharp = fit_temperature(logits[fold == 2], labels[fold == 2])
    np.testing.assert_allclose(answers[fold == 1], softmax(logits[fold == 1] / sharp))
    assert sharp > 3 * fit_temperature(logits[fold == 1], labels[fold == 1])


def test_quick_fields_are_few_of_every_class_in_whole_groups_of_equal_size() -> None:
    fields = [
        Field(
            Path(f"{label}-{group}-{i}"), label, f"{label}-{group}", "train", f"{label}{group}{i}"
        )
        for label in range(4)
        for group in "cab"
        for i in range(3 if group == "a" else 40)
    ]
    chosen = quick_fields(fields)
    assert chosen == quick_fields(fields)
    assert Counter((f.label, f.group[-1]) for f in chosen) == {
        (label, group): count for label in range(4) for group, count in (("a", 3), ("b", 8))
    }
    assert [f.path.name for f in chosen if f.group == "0-b"] == [
        f"0-b-{i}" for i in range(0, 40, 5)
    ]


def test_quick_plan_is_short_and_knows_the_architectures() -> None:
    assert [(c.architecture, c.epochs) for c in quick_plan()] == [
        ("custom_cnn", 1),
        ("cell_cnn", 1),
    ]
    with pytest.raises(RunError, match="alexnet"):
        quick_plan(["alexnet"])


def test_the_table_shows_what_was_measured(made: tuple[Path, Path], tmp_path: Path) -> None:
    document = tmp_path / "benchmark.md"
    write_report(made[1], document, ["tiny"])
    text = document.read_text()
    leaky = cells(text, "`tiny`", "(a) random, **leaky**")
    figures = part(made, "random")["figures"]
    low, high = figures["accuracy"]["interval"]
    assert leaky[0] == f"{figures['accuracy']['value']:.1%} (4; {low:.1%} – {high:.1%})"
    assert leaky[1] == f"{figures['macro_f1']:.1%}"
    assert f"{part(made, 'cost')['litert_ratio']:.2f} ×" in " ".join(leaky)
    grouped = cells(text, "`tiny`", "(b) grouped, out of fold")
    assert "(16;" in grouped[0]
    assert "8 groups" in grouped[0]
    assert "(2 × 2 epochs)" in " ".join(grouped)
    shown = re.findall(r"!\[.+\]\((.+\.svg)\)", text)
    assert len(shown) == len(set(shown)) == 10
    for address in shown:
        assert (tmp_path / address).resolve().is_file()


def test_what_is_missing_is_said_to_be_missing(made: tuple[Path, Path], tmp_path: Path) -> None:
    nothing = render(read_results(tmp_path, ["resnet50", "cell_cnn"]))
    for name in ("`resnet50`", "`cell_cnn`"):
        for protocol in ("(a) random, **leaky**", "(b) grouped, out of fold"):
            assert cells(nothing, name, protocol)[0] == "not trained yet"
    assert cells(nothing, "`resnet50`", "held-out accuracy", "91.32%")[0] == "not trained yet"
    half = render({"tiny": {"random": part(made, "random")}, "resnet50": {}})
    assert "(4;" in cells(half, "`tiny`", "(a) random, **leaky**")[0]
    assert cells(half, "`tiny`", "(b) grouped, out of fold")[0] == "not trained yet"


@pytest.mark.parametrize(
    ("right", "reached"), [(977, "yes"), (976, "**no**, see its learning curve")]
)
def test_a_reference_is_reached_from_its_value_on(
    right: int, reached: str, made: tuple[Path, Path]
) -> None:
    labels = np.arange(1000) % 4
    predicted = np.where(np.arange(1000) < right, labels, (labels + 1) % 4)
    figures = classification(labels, predicted, ["one"] * 1000)
    random = part(made, "random")
    random["figures"] |= figures
    row = cells(render({"custom_cnn": {"random": random}}), "`custom_cnn`", "held-out accuracy")
    assert row[0] == "97.70%"
    assert row[1].startswith(f"{right / 10:.1f}% (1,000;")
    assert row[2:4] == [reached, "2 from random weights"]


def test_training_accuracy_is_compared_with_the_last_epoch(made: tuple[Path, Path]) -> None:
    random = part(made, "random")
    random["histories"][0][-1]["accuracy"] = 0.96
    text = render({"efficientnet_b3": {"random": random}})
    row = cells(text, "`efficientnet_b3`", "training accuracy", "95.56%")
    assert row[:2] == ["96.00% (last epoch, augmented)", "yes"]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
