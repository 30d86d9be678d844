"""What a published model version declares about itself.

Nothing of a *model* lives in settings: labels, preprocessing, validation templates and every
threshold travel with the version in ``assets.extra/contract.json``.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.errors import ContractError

BENIGN = "Benign"
LABELS = (BENIGN, "Malignant Early Pre-B", "Malignant Pre-B", "Malignant Pro-B")
CONTRACT_FILE = "assets.extra/contract.json"
GRAPH_FILES = ("saved_model.pb", "variables", "assets.extra/model.tflite")


@dataclass(frozen=True)
class Rectangle:
    """Pixels ``[top:bottom, left:right]`` of the canonical image, painted with ``fill`` (RGB)."""

    top: int
    left: int
    bottom: int
    right: int
    fill: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class ModelContract:
    """One version's ``contract.json``, checked.

    Attributes:
        name, version, architecture: which model answered.
        labels: class names in output order; also the API's keys.
        height, width: canonical image size in pixels.
        covered: the scale-bar corner, covered alike in training and serving.
        histogram_templates: float32 [T, 3, 256], each channel's histogram summing to 1, made
            from canonical images without the covered rectangle.
        thresholds: smallest passing score of each validation check, by check name.
        temperature: information only; the graph already applies it.
        suspicious_min, not_suspicious_max: bounds on m = 1 − P(Benign), each in [0, 1].
        ood_max: largest ``ood_score`` of a field the model may judge.
        metrics: figures with split, n, groups and interval, for the model card.
        digest: sha256 of the contract file, hexadecimal; identifies the version in records.
    """

    name: str
    version: int
    architecture: str
    labels: tuple[str, ...]
    height: int
    width: int
    covered: Rectangle
    histogram_templates: NDArray[np.float32]
    thresholds: Mapping[str, float]
    temperature: float
    suspicious_min: float
    not_suspicious_max: float
    ood_max: float
    training_data_digest: str
    graph_digest: str
    metrics: Mapping[str, Any]
    digest: str

    @classmethod
    def load(cls, version_dir: Path) -> Self:
        """Read the contract of the published version in ``version_dir``.

        Raises:
            ContractError: the file is missing, unreadable or inconsistent.
        """
        path = version_dir / CONTRACT_FILE
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ContractError(
                f"{path} cannot be read ({error.strerror}); publish the version again."
            ) from error
        return cls.from_json(raw)

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """Parse ``contract.json``.

        Raises:
            ContractError: a field is missing, has the wrong type or contradicts another.
        """
        try:
            document = json.loads(raw, parse_constant=_refuse_constant)
            given, check = document["input"], document["validation"]
            cover = given["covered"]
            contract = cls(
                name=document["name"],
                version=int(document["version"]),
                architecture=document["architecture"],
                labels=tuple(document["labels"]),
                height=int(given["height"]),
                width=int(given["width"]),
                covered=Rectangle(
                    top=int(cover["top"]),
                    left=int(cover["left"]),
                    bottom=int(cover["bottom"]),
                    right=int(cover["right"]),
                    fill=tuple(int(value) for value in cover["fill"]),  # type: ignore[arg-type]
                ),
                histogram_templates=np.asarray(check["histogram_templates"], dtype=np.float32),
                thresholds={key: float(value) for key, value in check["thresholds"].items()},
                temperature=float(document["temperature"]),
                suspicious_min=float(document["suspicious_min"]),
                not_suspicious_max=float(document["not_suspicious_max"]),
                ood_max=float(document["ood_max"]),
                training_data_digest=document["training_data_digest"],
                graph_digest=document["graph_digest"],
                metrics=document["metrics"],
                digest=hashlib.sha256(raw).hexdigest(),
            )
            _require_conventions(given)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ContractError(f"contract.json is malformed: {error!r}.") from error
        contract._check()
        return contract

    def to_json(self) -> bytes:
        """The bytes ``from_json`` reads back (all fields but ``digest``, which is theirs)."""
        cover = self.covered
        document = {
            "name": self.name,
            "version": self.version,
            "architecture": self.architecture,
            "labels": list(self.labels),
            "input": {
                "height": self.height,
                "width": self.width,
                "resize": "INTER_AREA",
                "colour_order": "RGB",
                "covered": {
                    "top": cover.top,
                    "left": cover.left,
                    "bottom": cover.bottom,
                    "right": cover.right,
                    "fill": list(cover.fill),
                },
            },
            "validation": {
                "histogram_templates": [
                    [[round(float(share), 8) for share in channel] for channel in template]
                    for template in self.histogram_templates
                ],
                "thresholds": dict(self.thresholds),
            },
            "temperature": self.temperature,
            "suspicious_min": self.suspicious_min,
            "not_suspicious_max": self.not_suspicious_max,
            "ood_max": self.ood_max,
            "training_data_digest": self.training_data_digest,
            "graph_digest": self.graph_digest,
            "metrics": dict(self.metrics),
        }
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"

    def _check(self) -> None:
        """Raise ContractError where fields contradict one another."""
        cover = self.covered
        problems = []
        if BENIGN not in self.labels or len(set(self.labels)) != len(self.labels):
            problems.append(f"labels must be distinct and contain {BENIGN!r}, got {self.labels}")
        if self.histogram_templates.ndim != 3 or self.histogram_templates.shape[1:] != (3, 256):
            problems.append(
                f"histogram_templates must be [T,3,256], got {self.histogram_templates.shape}"
            )
        if not (0 <= cover.top < cover.bottom <= self.height):
            problems.append("covered rows lie outside the image")
        if not (0 <= cover.left < cover.right <= self.width):
            problems.append("covered columns lie outside the image")
        if not 0 <= self.not_suspicious_max < self.suspicious_min <= 1:
            problems.append("need 0 ≤ not_suspicious_max < suspicious_min ≤ 1")
        numbers = [*self.thresholds.values(), self.ood_max, self.temperature]
        if not np.isfinite(numbers).all() or not np.isfinite(self.histogram_templates).all():
            problems.append("thresholds, temperature, ood_max and templates must be finite")
        if problems:
            raise ContractError("contract.json is inconsistent: " + "; ".join(problems) + ".")


def _refuse_constant(name: str) -> NoReturn:
    """NaN compares false with everything, so it would switch a threshold off."""
    raise ValueError(f"{name} is not a number")


def _require_conventions(given: Mapping[str, Any]) -> None:
    """``preprocess`` knows one way to prepare pixels; another must not be applied silently."""
    if given["resize"] != "INTER_AREA" or given["colour_order"] != "RGB":
        raise ValueError(
            "input must be RGB resized with INTER_AREA, got "
            f"{given['colour_order']} and {given['resize']}"
        )


def in_order(probabilities: Mapping[str, float]) -> dict[str, float]:
    """By the order of ``LABELS``, which MySQL's JSON does not keep; others follow by name."""
    known = [label for label in LABELS if label in probabilities]
    others = sorted(probabilities.keys() - set(LABELS))
    return {label: probabilities[label] for label in (*known, *others)}


def graph_digest(version_dir: Path) -> str:
    """sha256 over sorted relative path + sha256 of every file that makes up the graph.

    Covers ``saved_model.pb``, ``variables/`` and ``assets.extra/model.tflite``.

    Raises:
        ContractError: one of them is missing.
    """
    files: list[Path] = []
    for relative in GRAPH_FILES:
        path = version_dir / relative
        found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        if not found or not all(p.is_file() for p in found):
            raise ContractError(f"{path} is missing; publish the version again.")
        files += found
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(version_dir).as_posix().encode())
        digest.update(hashlib.sha256(path.read_bytes()).hexdigest().encode())
    return digest.hexdigest()
