"""The model card as text, and ``docs/model.md``, both from one ``model_card.json``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diagnosis.imaging.contract import LABELS
from diagnosis.state import Headline
from export.calibrate import OOD_PERCENTILE
from export.config import COVERED

Card = Mapping[str, Any]

INTENDED_USE = (
    "Research use only. Not a medical device. The software presents blood-smear images with a "
    "suggested category. A qualified person trained in blood-cell recognition must verify or "
    "change every suggestion. It does not diagnose leukaemia, assign an immunophenotype or "
    "exclude disease. A 'not suspicious' result must not delay microscopy, flow cytometry or "
    "referral."
)


def render(card: Card, pictures: Sequence[tuple[str, str]] = ()) -> str:
    """Markdown of a version's model card.

    Args:
        card: the content of ``model_card.json``.
        pictures: caption and relative address of each picture to show.
    """
    figures = card["figures"]
    parts = [
        f"# Model {card['name']}, version {card['version']}",
        INTENDED_USE,
        _what(card),
        "## Calibration split",
        "Every file went through `diagnosis.pipeline.screen`, as an upload does; a refused field "
        "counts as an error. The temperature and the decision bounds were fitted on this very "
        "split (they do not change the predicted class), and no weight was.",
        _classification(figures["calibration"]),
        _headlines(figures["calibration"]),
        *_out_of_fold(figures.get("out_of_fold")),
        "## Other sources",
        _sources(figures["sources"]),
        *_audit(figures.get("audit")),
        *(f"![{caption}]({address})" for caption, address in pictures),
        _limits(),
        _remake(card),
    ]
    return "\n\n".join(parts) + "\n"


def draw(card: Card, folder: Path) -> list[tuple[str, str]]:
    """Draw the confusion matrix and the learning curve into ``folder``; captions and names."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "model"  # the same numbers give the same file
    confusion, curve = "model-confusion.svg", "model-learning-curve.svg"
    _draw_confusion(card["figures"]["calibration"]["confusion"], folder / confusion)
    _draw_curve(card["history"], folder / curve)
    return [
        ("Confusion matrix on the calibration split", confusion),
        (
            "Learning curve: training fields are augmented, calibration fields are not; batch "
            "normalisation is set after the last epoch",
            curve,
        ),
    ]


def _what(card: Card) -> str:
    training = card["training"]
    epochs = len(card["history"])
    minutes = sum(row["seconds"] for row in card["history"]) / 60
    return (
        f"A network of architecture `{card['architecture']}`, trained from nothing on the `train` "
        f"split (data digest `{training['training_data_digest'][:16]}`, seed {training['seed']}, "
        f"{epochs} epochs, {minutes:.0f} minutes on two shared CPU cores, code at revision "
        f"`{_revision(training['finished_at_revision'])}`). Exact duplicates were dropped, classes "
        "weighted, fields flipped, rotated, scaled and varied in stain and colour. The scale-bar "
        f"corner (rows {COVERED.top}–{COVERED.bottom}, columns {COVERED.left}–{COVERED.right} "
        "of 224) is painted over in training and serving alike. Published weights are an "
        "exponential moving average, its batch normalisations set on the training fields as "
        "serving shows them; no epoch was chosen by a measured figure, the last one counts. "
        f"{card['note']}\n\n"
        "The four classes are labels of the data set. *Benign* means haematogones, not an ordinary "
        "smear; the malignant categories are not diagnoses (immunophenotyping required). Groups "
        "are pseudo-patients: the data set has no patient numbers.\n\n"
        f"Temperature {card['temperature']:.3f} (applied inside the graph). With "
        "m = 1 − P(Benign): suspicious from "
        f"m ≥ {card['suspicious_min']:.2f}, not suspicious up to m ≤ "
        f"{card['not_suspicious_max']:.4f}, indeterminate between, and whenever `ood_score` "
        f"exceeds {card['ood_max']:.3f}."
    )


def _revision(described: str) -> str:
    """Twelve digits, and the ``+`` that marks uncommitted changes somewhere in the checkout."""
    return described[:12] + ("+" if described.endswith("+") else "")


def _classification(figures: Mapping[str, Any]) -> str:
    """Accuracy, recall table and confusion matrix of one set of fields."""
    lines = [
        f"Accuracy {_proportion(figures['accuracy'])}. "
        f"Balanced accuracy {figures['balanced_accuracy']:.1%}.",
        "",
        "| class | recall | n | groups | Clopper–Pearson 95 % over images (optimistic) "
        "| range over groups |",
        "|---|---|---|---|---|---|",
    ]
    for name, recall in figures["recall"].items():
        low, high = recall["interval"]
        worst, best = recall["group_range"]
        lines.append(
            f"| {name} | {recall['value']:.1%} | {recall['n']} | {recall['groups']} "
            f"| {low:.1%} – {high:.1%} | {worst:.1%} – {best:.1%} |"
        )
    lines += ["", "| truth ↓, answer → | " + " | ".join((*LABELS, "refused")) + " |"]
    lines.append("|---" * (len(LABELS) + 2) + "|")
    for name, row in zip(LABELS, figures["confusion"], strict=True):
        lines.append(f"| {name} | " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def _headlines(figures: Mapping[str, Any]) -> str:
    names = [str(headline) for headline in Headline]
    lines = [
        "Headlines of the same fields "
        f"(expected calibration error {figures['expected_calibration_error']:.3f}, fitted on "
        "these fields and therefore optimistic):",
        "",
        "| class | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for label, counts in figures["headlines"].items():
        lines.append(f"| {label} | " + " | ".join(str(counts.get(n, 0)) for n in names) + " |")
    return "\n".join(lines)


def _out_of_fold(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    return [
        "## Grouped out of fold, train and calibration together",
        f"{figures['folds']} folds disjoint by group, {figures['epochs']} epochs each; all else as "
        "for the published network. Each field was judged by a network that saw no "
        "field of its group; these are other networks than the published one, trained on less. "
        "Input validation and headlines are left aside here.",
        _classification(figures),
    ]


def _sources(sources: Mapping[str, Any]) -> str:
    lines = [
        "None of these may get a confident verdict (*suspicious* or *not suspicious*). Some helped "
        "to choose the templates and checks of validation; the others were only measured. "
        f"`ood_max` is the {OOD_PERCENTILE:.0f}th percentile of the calibration fields, and no "
        "other source moved it. Intervals are Clopper–Pearson 95 % over images. The last column "
        "leaves validation aside: what `ood_score` alone would hold back.",
        "",
        "| source | role | images | passed validation | confident verdict | beyond `ood_max` |",
        "|---|---|---|---|---|---|",
    ]
    for name, figure in sources.items():
        role = "used to choose" if figure["used_to_choose"] else "unseen"
        n = figure["n"]
        cells = []
        for key in ("accepted", "confident", "strange"):
            low, high = figure[f"{key}_interval"]
            cells.append(f"{figure[key]} = {figure[key] / n:.1%} ({low:.1%} – {high:.1%})")
        lines.append(f"| {name} | {role} | {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _audit(audit: Mapping[str, Any] | None) -> list[str]:
    if audit is None:
        return []
    lines = [
        "The calibration fields once more, altered, without input validation. A network that "
        "looked at cells alone would fall to 25 % balanced accuracy with them painted over; what "
        "lies above was read from the background. (The scale-bar corner alone is the same grey "
        "box in every picture, so it tells nothing.)",
        "",
        "| alteration | accuracy | balanced | still a confident verdict |",
        "|---|---|---|---|",
    ]
    for name, figure in audit.items():
        lines.append(
            f"| {name} | {_proportion(figure['accuracy'])} | {figure['balanced_accuracy']:.1%} "
            f"| {figure['confident_share']:.1%} |"
        )
    return ["## What it leans on", "\n".join(lines)]


def _limits() -> str:
    return (
        "## Limits\n\n"
        "- One hospital, one stain, one camera. Fields of other laboratories are outside this "
        "model's domain, and so are ordinary healthy smears.\n"
        "- Groups are pseudo-patients; some may be the same patient. The calibration split holds "
        "14 of them, Benign only two (74 fields). Its thresholds carry no guarantee: with n "
        "malignant groups, no risk below 1/(n+1) can be promised for a new group.\n"
        "- Intervals over images treat neighbouring fields as independent. They are not, so the "
        "true uncertainty is larger; the range over groups shows how much.\n"
        "- Background colour alone tells the recording session, and so the class, in this data "
        "set. Augmentation weakens that shortcut and does not remove it.\n"
        "- The out-of-domain score is a distance on pooled features. It has to be measured anew "
        "for every version and every source."
    )


def _remake(card: Card) -> str:
    return (
        "## How to remake this\n\n"
        "    python -m export train                        # resumes where it was stopped\n"
        f"    python -m export cross-validate{_fold_epochs(card):14} # out-of-fold figures\n"
        "    python -m export publish                      # the next version number\n"
        "    python -m export promote N                    # makes version N the live one\n"
        f"    python -m export evaluate {card['version']:<17}   "
        "# measures again, writes docs/model.md\n\n"
        "The order of the fields, every variation and the first weights follow from the seed. On "
        "one machine short trainings were repeated bit for bit, also when killed and resumed "
        "(`tests/export/test_train.py`); the full training was not run twice."
    )


def _fold_epochs(card: Card) -> str:
    """The option that gives the folds the epochs they had."""
    figures = card["figures"].get("out_of_fold")
    return f" --epochs {figures['epochs']}" if figures else ""


def _proportion(figure: Mapping[str, Any]) -> str:
    low, high = figure["interval"]
    return (
        f"{figure['value']:.1%} ({figure['successes']} of {figure['n']} fields, "
        f"{figure['groups']} groups; {low:.1%} – {high:.1%})"
    )


def _draw_confusion(confusion: Sequence[Sequence[int]], path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = picture.subplots()
    shares = [[value / max(1, sum(row)) for value in row] for row in confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for y, row in enumerate(confusion):
        for x, value in enumerate(row):
            dark = shares[y][x] > 0.5
            axes.text(x, y, str(value), ha="center", va="center", color="w" if dark else "k")
    short = [label.removeprefix("Malignant ") for label in LABELS]
    axes.set_xticks(range(len(LABELS) + 1), [*short, "refused"])
    axes.set_yticks(range(len(LABELS)), short)
    axes.set_xlabel("answer")
    axes.set_ylabel("label")
    picture.savefig(path, metadata={"Date": None})


def _draw_curve(history: Sequence[Mapping[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    picture = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = picture.subplots()
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, [row["accuracy"] for row in history], label="train, augmented, raw weights")
    axes.plot(
        epochs,
        [row["held_out_accuracy"] for row in history],
        label="calibration, averaged weights",
    )
    axes.set_xlabel("epoch")
    axes.set_ylabel("accuracy")
    axes.set_ylim(0.2, 1.0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    picture.savefig(path, metadata={"Date": None})
