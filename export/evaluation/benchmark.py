"""Every architecture measured alike; what is finished is never made again.

Three parts of each architecture can be made alone, so two shells may work side by side:

*random*   one network on a random image-level split. Leaky: neighbouring fields of one
           pseudo-patient stand on both sides. It exists only to be set beside references that
           were measured so.
*grouped*  grouped cross-validation: each field judged by a network that never saw its group.
*cost*     parameters, file sizes and latency.

What they find is kept in small files, one or two a part, from which the document is written
(``export.evaluation.benchmark_report``) without the weights and without the data:

    <architecture>-<part>.json  what was asked for, learning curves, figures
    <architecture>-<part>.csv   for random and grouped: one row a field with its logits
"""

import csv
import dataclasses
import json
import shutil
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from diagnosis.core.imaging.synthetic import draw_smear
from export.config import INPUT_HEIGHT, INPUT_WIDTH
from export.data.dataset import Field, data_digest, labels_of
from export.data.split import leaky_random_split
from export.errors import RunError
from export.evaluation.crossval import ANSWERS, FOLD, cross_validate, out_of_fold_figures
from export.evaluation.metrics import Figures, area_under_roc, calibration_error, classification
from export.training import architectures, savedmodel
from export.training.calibrate import calibrate, fit_temperature, softmax
from export.training.recipes import recipe
from export.training.runs import CONFIG, Report, TrainConfig, begun_from, read_history, replace
from export.training.train import covered_images, normalise, predict_logits, train

RANDOM, GROUPED, COST = "random", "grouped", "cost"
PARTS = (RANDOM, GROUPED, COST)
REFERENCE = "custom_cnn"  # latencies are ratios to this network's by LiteRT
LITERT = "model.tflite"
ROUNDS = 40
WARM_UP = 5
SAMPLE = 64  # fields that a calibration is fitted on where only its shape matters


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """Answers of N fields by networks that learned from none of them.

    Attributes:
        labels: int64 [N].
        groups: pseudo-patient of each field.
        fold: int64 [N]; in the random protocol one of two halves of the held-out fields.
        logits: float32 [N, classes].
    """

    labels: NDArray[np.int64]
    groups: list[str]
    fold: NDArray[np.int64]
    logits: NDArray[np.float32]

    def probabilities(self) -> NDArray[np.float64]:
        """Float64 [N, classes]; each fold's temperature was fitted on the other folds."""
        answers = np.empty(self.logits.shape, np.float64)
        for fold in set(self.fold.tolist()):
            ours = self.fold == fold
            temperature = fit_temperature(self.logits[~ours], self.labels[~ours])
            answers[ours] = softmax(self.logits[ours] / temperature)
        return answers


def benchmark(
    plan: Sequence[TrainConfig],
    fields: Sequence[Field],
    folder: Path,
    results: Path,
    folds: int,
    report: Report,
    parts: Sequence[str] = PARTS,
    weights: Mapping[str, Path] | None = None,
) -> None:
    """Make the ``parts`` of every network in ``plan`` that ``results`` does not hold yet.

    Killed, it goes on by the same call. Costs are measured anew each time, all in one go, as
    they are compared with one another.

    Args:
        plan: one configuration an architecture.
        folder: of the runs, ``<architecture>/random`` and ``<architecture>/grouped``.
        results: where the small files go.
        folds: of the grouped protocol.
        weights: local files of ImageNet weights to begin with, by architecture.

    Raises:
        RunError: a run in ``folder`` was begun with another configuration or other data.
        DataError: a class has fewer groups than there are folds.
    """
    results.mkdir(parents=True, exist_ok=True)
    for planned in plan:
        begin_with = (weights or {}).get(planned.architecture)
        config = begun_from(planned, begin_with)
        for protocol, make in ((RANDOM, _random), (GROUPED, _grouped)):
            if protocol in parts:
                part = _Part(
                    config=config,
                    fields=fields,
                    folds=folds if protocol == GROUPED else 1,
                    run=folder / config.architecture / protocol,
                    target=results / f"{config.architecture}-{protocol}",
                    weights=begin_with,
                )
                _make_once(part, partial(make, part, report))
    if COST in parts:
        names = [config.architecture for config in plan]
        report(f"measuring size and latency of {', '.join(names)}")
        costs = measure_costs(names, fields[:: max(1, len(fields) // SAMPLE)])
        for name in names:
            _write(results / f"{name}-{COST}.json", costs[name])


def read_answers(table: Path) -> Answers:
    """The fields of a part's ``.csv``, in its order."""
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return Answers(
        labels=np.array([int(row["label"]) for row in rows]),
        groups=[row["group"] for row in rows],
        fold=np.array([int(row["fold"]) for row in rows]),
        logits=np.array([[float(row[name]) for name in ANSWERS] for row in rows], np.float32),
    )


def quick_plan(names: Iterable[str] = ("custom_cnn", "cell_cnn")) -> list[TrainConfig]:
    """One epoch of small batches: enough to run every line, too little to learn anything.

    Raises:
        RunError: there is no architecture of a name.
    """
    return [
        dataclasses.replace(recipe(name), epochs=1, batch_size=8, warmup_epochs=0, window=64)
        for name in names
    ]


def quick_fields(fields: Sequence[Field], groups: int = 2, members: int = 8) -> list[Field]:
    """``members`` fields, evenly spaced, of the first ``groups`` groups of each class."""
    of_group: dict[tuple[int, str], list[Field]] = defaultdict(list)
    for field in fields:
        of_group[field.label, field.group].append(field)
    chosen: list[Field] = []
    for label in sorted({label for label, _ in of_group}):
        names = sorted(group for owner, group in of_group if owner == label)[:groups]
        for name in names:
            group = of_group[label, name]
            chosen += group[:: max(1, len(group) // members)][:members]
    return chosen


def measure_costs(names: Sequence[str], sample: Sequence[Field]) -> dict[str, Figures]:
    """Parameters, bytes on disk and milliseconds for one image by one thread, by architecture.

    Of untrained networks: what they have learned decides neither size nor speed. All take turns
    in one process, so that whatever else the machine does slows all of them alike; what can be
    compared is the ratio to ``REFERENCE``'s LiteRT latency, which is timed with them also where
    it is none of ``names``.

    Args:
        sample: fields of every class; the calibration in a graph is fitted on them.
    """
    images, labels = covered_images(sample), labels_of(sample)
    groups = [field.group for field in sample]
    models = {
        name: architectures.build(name, seed=0) for name in dict.fromkeys([*names, REFERENCE])
    }
    costs: dict[str, Figures] = {}
    with TemporaryDirectory() as temporary:
        for name, model in models.items():
            folder = Path(temporary) / name
            calibration = calibrate(model, images, labels, images, labels, groups)
            savedmodel.write_saved_model(savedmodel.Graph(model, calibration), folder)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            converted = savedmodel.convert(folder)
            (folder / LITERT).write_bytes(converted)
            costs[name] = {
                "parameters": model.count_params(),
                "saved_model_bytes": size,
                "litert_bytes": len(converted),
            }
        # Threads can only be set before TensorFlow starts, so it starts once more.
        with ProcessPoolExecutor(1, get_context("spawn"), initializer=_one_thread) as pool:
            medians = pool.submit(time_in_turn, Path(temporary), list(models)).result()
    unit = medians[REFERENCE]["litert_ms"]
    for name, cost in costs.items():
        cost |= medians[name] | {"reference_ms": unit, "rounds": ROUNDS}
        cost["litert_ratio"] = cost["litert_ms"] / unit
        cost["saved_model_ratio"] = cost["saved_model_ms"] / unit
    return costs


def time_in_turn(folder: Path, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """Median milliseconds of one image, for each SavedModel in ``folder`` and its LiteRT model."""
    image = normalise(draw_smear(0)[np.newaxis, :INPUT_HEIGHT, :INPUT_WIDTH])
    ways: dict[tuple[str, str], Callable[[], Any]] = {}
    for name in names:
        served = tf.saved_model.load(str(folder / name)).signatures["serving_default"]
        interpreter = Interpreter(model_path=str(folder / name / LITERT), num_threads=1)
        runner = interpreter.get_signature_runner("serving_default")
        ways[name, "saved_model_ms"] = partial(_ask, served, image)
        ways[name, "litert_ms"] = partial(runner, image=image)
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in ways}
    for _ in range(WARM_UP + ROUNDS):
        for key, answer in ways.items():
            began = time.perf_counter()
            answer()
            seconds[key].append(time.perf_counter() - began)
    medians: dict[str, dict[str, float]] = {name: {} for name in names}
    for (name, way), times in seconds.items():
        medians[name][way] = 1000 * statistics.median(times[WARM_UP:])
    return medians


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """One protocol of one architecture: what is asked for, and where it is made and kept."""

    config: TrainConfig
    fields: Sequence[Field]
    folds: int
    run: Path
    target: Path
    weights: Path | None

    def asked(self) -> Figures:
        """What decides the result, as it is kept with it."""
        return {
            "config": dataclasses.asdict(self.config),
            "folds": self.folds,
            "data_digest": data_digest(self.fields),
        }


def _make_once(part: _Part, make: Callable[[], Figures]) -> None:
    """Write the part's .json from ``make``, unless it already answers what is asked."""
    path, asked = part.target.with_suffix(".json"), part.asked()
    if path.exists():
        found = json.loads(path.read_bytes())
        if all(found.get(key) == value for key, value in asked.items()):
            return
    _write(path, asked | make())


def _random(part: _Part, report: Report) -> Figures:
    """One network on the leaky split; temperatures cross-fitted by halves of its held-out side."""
    training, held_out = leaky_random_split(part.fields, part.config.seed)
    report(f"random split, leaky: {len(training)} train, {len(held_out)} held out")
    held_out = sorted(held_out, key=lambda field: (field.label, field.sha256))
    model = train(part.config, training, held_out, part.run, report, part.weights)
    logits = predict_logits(model, covered_images(held_out))
    table = part.target.with_suffix(".csv")
    with table.open("w", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(["sha256", "group", "label", "fold", *ANSWERS])
        for number, (field, answer) in enumerate(zip(held_out, logits, strict=True)):
            start = [field.sha256, field.group, field.label, 1 + number % 2]
            writer.writerow([*start, *(f"{logit:.6g}" for logit in answer)])
    answers = read_answers(table)
    probabilities = answers.probabilities()
    figures = classification(answers.labels, answers.logits.argmax(axis=1), answers.groups) | {
        "split": "random over fields, leaky",
        "area_under_roc": area_under_roc(probabilities, answers.labels),
        "expected_calibration_error": calibration_error(probabilities, answers.labels),
    }
    return _made([part.run], figures)


def _grouped(part: _Part, report: Report) -> Figures:
    """Grouped cross-validation; its figures are those of the model card."""
    run, folds = part.run, part.folds
    table = cross_validate(run, part.config, part.fields, folds, report, part.weights)
    shutil.copyfile(table, part.target.with_suffix(".csv"))
    figures = out_of_fold_figures(run, part.fields)
    if figures is None:
        raise RunError(f"{table} vanished; make it again.")
    return _made([run / FOLD.format(i, folds) for i in range(1, folds + 1)], figures)


def _made(runs: Sequence[Path], figures: Figures) -> Figures:
    """What is kept of finished ``runs``, beside what was asked for."""
    last = json.loads((runs[-1] / CONFIG).read_bytes())
    histories = [
        [{key: float(f"{value:.6g}") for key, value in row.items()} for row in read_history(run)]
        for run in runs
    ]
    return {
        "revision": last["finished_at_revision"],
        "histories": histories,
        "figures": figures,
    }


def _one_thread() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _ask(served: Callable[..., dict[str, Any]], image: NDArray[np.float32]) -> NDArray[np.float32]:
    return served(image=tf.constant(image))["probabilities"].numpy()


def _write(path: Path, document: Figures) -> None:
    replace(path, lambda beside: beside.write_text(json.dumps(document, indent=1) + "\n"))
