"""Labelled fields on which two versions differ, on the path that serves users."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.pipeline import Outcome
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.state import Headline
from export.data.dataset import Field, short_name
from export.evaluation.evaluate import screen_file
from export.evaluation.metrics import Figures

MENDED, BROKEN, STILL_WRONG, HEADLINE_ONLY = KINDS = (
    "mended",
    "broken",
    "wrong in another way",
    "changed headline only",
)


@dataclass(frozen=True)
class Verdict:
    """What one version says of a field.

    Attributes:
        headline: e.g. ``suspicious``.
        predicted_class: ``None`` for a refused field.
        probability: of that class, or ``None``.
    """

    headline: str
    predicted_class: str | None
    probability: float | None

    def __str__(self) -> str:
        if self.predicted_class is None:
            return self.headline
        return f"{self.headline}, {self.predicted_class} {self.probability:.3f}"


@dataclass(frozen=True)
class Flip:
    """A field whose class or headline differs between two versions.

    Attributes:
        file: folder of its class and file name.
        label: its true class.
        old, new: what either version says.
    """

    file: str
    label: str
    old: Verdict
    new: Verdict

    @property
    def kind(self) -> str:
        """Which of ``KINDS`` it is."""
        if self.old.predicted_class == self.new.predicted_class:
            return HEADLINE_ONLY
        if self.new.predicted_class == self.label:
            return MENDED
        return BROKEN if self.old.predicted_class == self.label else STILL_WRONG


def flipped(fields: Sequence[Field], old: EmbeddedPredictor, new: EmbeddedPredictor) -> list[Flip]:
    """The fields, in their order, whose predicted class or headline differs between versions.

    Each version judges with its own contract, so a field that only one of them refuses differs.

    Raises:
        OSError: a file cannot be read.
    """
    pairs = ((field, _verdict(field, old), _verdict(field, new)) for field in fields)
    return [
        Flip(short_name(field.path), LABELS[field.label], before, after)
        for field, before, after in pairs
        if (before.headline, before.predicted_class) != (after.headline, after.predicted_class)
    ]


def counts(flips: Sequence[Flip]) -> dict[str, int]:
    """How many there are of each of ``KINDS``."""
    found = Counter(flip.kind for flip in flips)
    return {kind: found[kind] for kind in KINDS}


def summary(flips: Sequence[Flip]) -> list[str]:
    """Lines to print: the counts, then every case by kind."""
    lines = [", ".join(f"{n} {kind}" for kind, n in counts(flips).items())]
    for flip in sorted(flips, key=lambda flip: KINDS.index(flip.kind)):
        lines.append(f"{flip.kind}: {flip.file} ({flip.label}): {flip.old} → {flip.new}")
    return lines


def record(flips: Sequence[Flip]) -> Figures:
    """What the model card keeps: ``counts``, and all ``cases`` with their ``kind``."""
    cases = [{"kind": flip.kind} | asdict(flip) for flip in flips]
    return {"counts": counts(flips), "cases": cases}


def _verdict(field: Field, predictor: EmbeddedPredictor) -> Verdict:
    outcome: Outcome | None = screen_file(field.path, predictor)
    if outcome is None:
        return Verdict(str(Headline.REJECTED), None, None)
    return Verdict(str(outcome.headline), outcome.predicted_class, outcome.confidence)
