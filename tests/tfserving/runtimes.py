"""What runs the graph behind the tests' model server: LiteRT or, as the real one, TensorFlow."""

import base64
from pathlib import Path
from typing import Any, Protocol

import numpy as np

SIDE = 224


class RefusedError(Exception):
    """The server answers 400 with this text."""


class Runtime(Protocol):
    """One loaded version."""

    def run(self, signature: str, instances: list[Any]) -> list[dict[str, Any]]:
        """The rows of ``predictions`` for the rows of ``instances``."""


def images_of(instances: list[Any]) -> list[bytes]:
    """The raw bytes of each row of ``serving_bytes``."""
    try:
        texts = [row["image_bytes"]["b64"] for row in instances]
        return [base64.b64decode(text, validate=True) for text in texts]
    except (TypeError, KeyError) as error:
        raise RefusedError("JSON object: does not have named input: image_bytes") from error
    except ValueError as error:
        raise RefusedError("Unable to base64 decode") from error


class LiteRT:
    """The version's ``model.tflite``: starts at once, so a test may kill it again and again."""

    def __init__(self, version_dir: Path) -> None:
        from diagnosis.core.predictors.embedded import EmbeddedPredictor

        self._predictor = EmbeddedPredictor(version_dir)

    def run(self, signature: str, instances: list[Any]) -> list[dict[str, Any]]:
        if signature == "serving_bytes":
            shape = (SIDE, SIDE, 3)
            images = [np.frombuffer(raw, np.uint8).reshape(shape) for raw in images_of(instances)]
            return [
                {"probabilities": answer.probabilities, "ood_score": answer.ood_score}
                for answer in self._predictor.predict(np.stack(images))
            ]
        if signature != "explain":
            raise RefusedError(f'Serving signature key "{signature}" not found.')
        rows = []
        for instance in instances:
            image = np.rint((np.asarray(instance, np.float32) + 1) * 127.5).astype(np.uint8)
            found = self._predictor.explain(image)
            rows.append(
                {
                    "probabilities": found.prediction.probabilities,
                    "ood_score": found.prediction.ood_score,
                    "activation": found.activation.tolist(),
                }
            )
        return rows


class SavedModel:
    """The version's SavedModel by its signatures: the graph that TensorFlow Serving runs."""

    def __init__(self, version_dir: Path) -> None:
        import tensorflow as tf

        self._tf = tf
        self._model = tf.saved_model.load(str(version_dir))

    def run(self, signature: str, instances: list[Any]) -> list[dict[str, Any]]:
        if signature not in self._model.signatures:
            raise RefusedError(f'Serving signature key "{signature}" not found.')
        if signature == "serving_bytes":
            given = {"image_bytes": self._tf.constant(images_of(instances))}
        else:
            given = {"image": self._tf.constant(np.asarray(instances, np.float32))}
        answer = {
            name: value.numpy().tolist()
            for name, value in self._model.signatures[signature](**given).items()
        }
        return [
            {name: values[row] for name, values in answer.items()} for row in range(len(instances))
        ]


RUNTIMES = {"litert": LiteRT, "savedmodel": SavedModel}
