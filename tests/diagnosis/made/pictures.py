"""Drawn images in every coding, and a predictor whose answer a test decides."""

import io
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diagnosis.core.imaging.contract import LABELS, ModelContract, Rectangle
from diagnosis.core.imaging.preprocess import cover, resize
from diagnosis.core.imaging.synthetic import draw_smear
from diagnosis.core.imaging.validate import FIXES, colour_histogram
from diagnosis.core.predictors.base import Explanation, Prediction, check_images

COVERED = Rectangle(top=192, left=160, bottom=224, right=224, fill=(0, 0, 0))
MALIGNANT = (0.05, 0.1, 0.8, 0.05)
BENIGN = (0.97, 0.01, 0.01, 0.01)
T = TypeVar("T")

# Every drawn field passes them with room to spare, and no page of text does.
THRESHOLDS = {
    "colour_histogram": 0.6,
    "size": 224,
    "aspect": 0.5,
    "brightness": 0.5,
    "overexposure": 0.5,
    "focus": 0.3,
    "field_content": 0.1,
    "nucleated_cells": 0.005,
    "structure": 0.35,
    "straight_edges": 0.2,
}


class Lazy(Mapping[str, T]):
    """Values by name, each made when a test first asks for it: collecting needs the names alone."""

    def __init__(self, makers: Mapping[str, Callable[[], T]]) -> None:
        self._makers = {name: cache(make) for name, make in makers.items()}

    def __getitem__(self, name: str) -> T:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __or__(self, other: "Lazy[T]") -> "Lazy[T]":
        return Lazy(self._makers | other._makers)


@cache
def drawn(seed: int, height: int = 224, width: int = 224) -> NDArray[np.uint8]:
    """``draw_smear``, drawn once; nobody can change it."""
    field = draw_smear(seed, height, width)
    field.setflags(write=False)
    return field


def encode(format: str, picture: NDArray[np.uint8] | Image.Image, **options: Any) -> bytes:
    """An image file of ``picture`` as Pillow writes it."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@cache
def smear_jpeg(seed: int = 1, height: int = 240, width: int = 320) -> bytes:
    """A drawn field as a camera would save it."""
    return encode("JPEG", drawn(seed, height, width), quality=92)


def document_jpeg() -> bytes:
    """A photographed page of text: an image, and no blood smear."""
    page = np.full((480, 640, 3), 255, np.uint8)
    for line in range(12):
        at = (20, 40 + 36 * line)
        cv2.putText(page, f"LABORATORY REPORT {line}", at, cv2.FONT_HERSHEY_SIMPLEX, 0.9, 0, 2)
    return encode("JPEG", page)


def make_contract(**changes: Any) -> ModelContract:
    """A contract that accepts drawn fields; ``changes`` are fields of ``ModelContract``."""
    fields = {
        "name": "all_smear",
        "version": 7,
        "architecture": "test",
        "labels": LABELS,
        "height": 224,
        "width": 224,
        "covered": COVERED,
        "histogram_templates": _templates(),
        "thresholds": THRESHOLDS,
        "temperature": 1.5,
        "suspicious_min": 0.5,
        "not_suspicious_max": 0.1,
        "ood_max": 10.0,
        "training_data_digest": "d" * 64,
        "graph_digest": "e" * 64,
        "metrics": {"accuracy": {"value": 0.5, "split": "none", "n": 0}},
        "digest": "c" * 64,
        **changes,
    }
    assert THRESHOLDS.keys() == FIXES.keys()
    return ModelContract(**fields)


@cache
def _templates() -> NDArray[np.float32]:
    fields = [cover(resize(drawn(seed, 240, 320), 224, 224), COVERED) for seed in range(3)]
    return np.stack([colour_histogram(field, COVERED) for field in fields])


class FakePredictor:
    """Answers what the test says.

    Attributes:
        probabilities, ood_score: the answer.
        error: raised instead of answering, if set.
        during: called while the model "thinks".
        calls: how often it was asked.
    """

    def __init__(self, contract: ModelContract) -> None:
        self.contract = contract
        self.probabilities: tuple[float, ...] = MALIGNANT
        self.ood_score = 0.0
        self.error: Exception | None = None
        self.during: Callable[[], object] = lambda: None
        self.calls = 0

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """The answer, once per image."""
        check_images(images, self.contract)
        self.calls += 1
        self.during()
        if self.error:
            raise self.error
        return [Prediction(self.probabilities, self.ood_score)] * len(images)

    def explain(self, image: NDArray[np.uint8]) -> Explanation:
        """The answer with an empty map."""
        (prediction,) = self.predict(image[np.newaxis])
        return Explanation(prediction, np.zeros((7, 7), np.float32))

    def is_ready(self) -> bool:
        """Whether it would answer."""
        return self.error is None

    def is_available(self) -> bool:
        """Whether it would answer."""
        return self.error is None


def live(predictor: Any, canary: Any = None) -> Callable[[], Any]:
    """What ``diagnosis.fields.live_model._current`` is to be, for ``predictor`` to answer."""
    from diagnosis.fields.live_model import _Loaded

    return lambda: _Loaded(("", "", 0, 0), predictor, canary)
