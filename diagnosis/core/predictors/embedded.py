"""In-process predictor: LiteRT runs the ``model.tflite`` of a published version."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from diagnosis.core.errors import ContractError, PredictorError
from diagnosis.core.imaging.contract import ModelContract, graph_digest
from diagnosis.core.predictors.base import (
    Explanation,
    Prediction,
    check_images,
    make_explanation,
    make_prediction,
)
from diagnosis.core.predictors.seal import check_seal


class EmbeddedPredictor:
    """One version in this process, float32 throughout.

    Images run one at a time: a batch of N costs N single runs in LiteRT, and a fixed batch
    of one keeps its memory plan. Each thread gets its own interpreter over the one model
    buffer, because an interpreter may not be shared while it runs.
    """

    def __init__(self, version_dir: Path) -> None:
        """Load the version in ``version_dir``.

        Raises:
            ContractError: its contract is unreadable or its files are not those that the
                contract was written for.
        """
        self._contract = ModelContract.load(version_dir)
        found = graph_digest(version_dir)
        if found != self._contract.graph_digest:
            raise ContractError(
                f"{version_dir} does not match its contract (graph digest {found[:12]}…, "
                f"declared {self._contract.graph_digest[:12]}…); publish it again."
            )
        check_seal(version_dir)
        self._model = (version_dir / "assets.extra/model.tflite").read_bytes()
        self._local = threading.local()

    @property
    def contract(self) -> ModelContract:
        """The contract of this version."""
        return self._contract

    def predict(self, images: NDArray[np.uint8]) -> list[Prediction]:
        """See ``Predictor.predict``."""
        check_images(images, self._contract)
        return [self._prediction(self._run("serving_default", image)) for image in images]

    def explain(self, image: NDArray[np.uint8]) -> Explanation:
        """See ``Predictor.explain``."""
        check_images(image[np.newaxis], self._contract)
        answer = self._run("explain", image)
        return make_explanation(self._prediction(answer), answer["activation"][0])

    def is_ready(self) -> bool:
        """Always: it is loaded."""
        return True

    def is_available(self) -> bool:
        """Always: it is loaded."""
        return True

    def _prediction(self, answer: dict[str, NDArray[np.float32]]) -> Prediction:
        return make_prediction(
            answer["probabilities"][0], float(answer["ood_score"][0]), self._contract
        )

    def _run(self, signature: str, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        normalised = image[np.newaxis].astype(np.float32) / np.float32(127.5) - np.float32(1)
        try:
            return self._runner(signature)(image=normalised)
        except (RuntimeError, ValueError) as error:
            raise PredictorError(
                f"the embedded runtime failed on {signature}: {error}", permanent=True
            ) from error

    def _runner(self, signature: str) -> Any:
        runners = self._local.__dict__.setdefault("runners", {})
        if signature not in runners:
            interpreter = Interpreter(model_content=self._model, num_threads=1)
            runners[signature] = interpreter.get_signature_runner(signature)
        return runners[signature]
