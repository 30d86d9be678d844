"""The published graph: one SavedModel with three signatures, and its LiteRT conversion.

``keras.export.ExportArchive`` and not ``tf.saved_model.save`` of a ``tf.Module``: TensorFlow
Serving cannot find the variables of the latter.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from export.config import INPUT_HEIGHT, INPUT_WIDTH
from export.training.architectures import ATTENTION, FEATURES, LOGITS, POOLED
from export.training.calibrate import NOTHING_SEEN, Calibration
from export.training.train import normalise

SIGNATURES = ("serving_default", "serving_bytes", "explain")
LITERT_SIGNATURES = ("serving_default", "explain")  # decode_raw on strings has no LiteRT op
MAP_SIDE = 7  # places of an activation map on each side
FAINT = 1e-6
Answer = dict[str, NDArray[np.float32]]
Signatures = Mapping[str, Callable[..., dict[str, Any]]]


class Graph:
    """A network with its calibration as TensorFlow functions, one per signature."""

    def __init__(self, model: keras.Model, calibration: Calibration) -> None:
        """Join ``model`` (logits) and ``calibration`` (everything after them)."""
        names = [FEATURES, POOLED, LOGITS]
        self._attends = any(layer.name == ATTENTION for layer in model.layers)
        if self._attends:
            names.append(ATTENTION)
        self.model = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
        self._calibration = calibration
        self._kernel = np.asarray(model.get_layer(LOGITS).kernel)

    def serving_default(self, image: Any) -> dict[str, Any]:
        """Float32 [N, 224, 224, 3] in [−1, 1] → ``probabilities`` and ``ood_score``."""
        _, pooled, logits, *_ = self.model(image, training=False)
        return self._scores(pooled, logits)

    def serving_bytes(self, image_bytes: Any) -> dict[str, Any]:
        """The same from string [N], each 150,528 raw RGB bytes."""
        raw = tf.io.decode_raw(image_bytes, tf.uint8)
        shape = [tf.shape(image_bytes)[0], INPUT_HEIGHT, INPUT_WIDTH, 3]  # one image a string
        return self.serving_default(tf.cast(tf.reshape(raw, shape), tf.float32) / 127.5 - 1.0)

    def explain(self, image: Any) -> dict[str, Any]:
        """The same and ``activation``, float32 [N, 7, 7] in [0, 1].

        Class activation map of the predicted class (Zhou et al. 2016): the feature maps
        weighted by the dense layer's column and by how much each place counts, negative
        evidence left out, averaged down to 7 × 7 where there are more places, stretched to
        [0, 1].
        """
        features, pooled, logits, *attention = self.model(image, training=False)
        weights = tf.gather(tf.constant(self._kernel.T), tf.argmax(logits, axis=1))
        evidence = tf.nn.relu(tf.reduce_sum(features * weights[:, None, None, :], axis=3))
        if self._attends:
            evidence *= attention[0][..., 0]
        step = evidence.shape[1] // MAP_SIDE
        evidence = tf.nn.avg_pool2d(evidence[..., None], step, step, "VALID")[..., 0]
        low = tf.reduce_min(evidence, axis=[1, 2], keepdims=True)
        span = tf.reduce_max(evidence, axis=[1, 2], keepdims=True) - low
        # Where there is no evidence at all, 0 everywhere instead of amplified rounding.
        activation = tf.where(span > FAINT, (evidence - low) / tf.maximum(span, FAINT), 0.0)
        return self._scores(pooled, logits) | {"activation": activation}

    def _scores(self, pooled: Any, logits: Any) -> dict[str, Any]:
        chosen = self._calibration
        offset = tf.matmul(pooled, tf.constant(chosen.whitening))[:, None, :] - chosen.class_means
        distance = tf.reduce_min(tf.reduce_mean(tf.square(offset), axis=2), axis=1)
        nothing = tf.reduce_all(tf.equal(pooled, 0.0), axis=1)
        temperature = np.float32(chosen.decision.temperature)
        return {
            "probabilities": tf.nn.softmax(logits / temperature),
            "ood_score": tf.where(nothing, NOTHING_SEEN, tf.sqrt(distance)),
        }

    def answers(self, images: NDArray[np.uint8]) -> Answer:
        """What Keras itself answers for canonical images, ``activation`` included."""
        return _in_batches(lambda batch: self.explain(tf.constant(normalise(batch))), images)


def write_saved_model(graph: Graph, folder: Path) -> None:
    """Write ``graph`` as a SavedModel with its three signatures."""
    image = tf.TensorSpec((None, INPUT_HEIGHT, INPUT_WIDTH, 3), tf.float32, name="image")
    raw = tf.TensorSpec((None,), tf.string, name="image_bytes")
    archive = keras.export.ExportArchive()
    # The variables the endpoints use are tracked by the archive itself; tracking the model as
    # well would store every weight twice.
    archive.add_endpoint("serving_default", graph.serving_default, [image])
    archive.add_endpoint("serving_bytes", graph.serving_bytes, [raw])
    archive.add_endpoint("explain", graph.explain, [image])
    archive.write_out(str(folder), verbose=False)


def convert(saved_model: Path) -> bytes:
    """The LiteRT model of a SavedModel, float32 throughout: no optimisation, no quantisation."""
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=list(LITERT_SIGNATURES)
    )
    return converter.convert()


def load_signatures(saved_model: Path) -> Signatures:
    """The functions of a SavedModel on disk; loading takes longer than asking them all."""
    return tf.saved_model.load(str(saved_model)).signatures


def saved_model_answers(
    signatures: Signatures, signature: str, images: NDArray[np.uint8]
) -> Answer:
    """What a loaded SavedModel answers for canonical images through one signature."""
    function = signatures[signature]
    if signature == "serving_bytes":
        return _in_batches(
            lambda batch: function(image_bytes=tf.constant([i.tobytes() for i in batch])), images
        )
    return _in_batches(lambda batch: function(image=tf.constant(normalise(batch))), images)


def litert_answers(model: bytes, signature: str, images: NDArray[np.uint8]) -> Answer:
    """What the LiteRT conversion answers for canonical images, one at a time."""
    runner = Interpreter(model_content=model, num_threads=1).get_signature_runner(signature)
    return _in_batches(lambda batch: runner(image=normalise(batch)), images, size=1)


def write_warmup(path: Path, images: NDArray[np.uint8], name: str) -> None:
    """Requests that TensorFlow Serving runs when it loads the version (a TFRecord file).

    Without them the first request of a version takes about twenty times as long as others.
    """
    inputs = {
        "serving_default": {"image": tf.make_tensor_proto(normalise(images[:1]))},
        "serving_bytes": {
            "image_bytes": tf.make_tensor_proto([images[0].tobytes()], dtype=tf.string, shape=[1])
        },
    }
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, tensors in inputs.items():
            request = predict_pb2.PredictRequest(
                model_spec=model_pb2.ModelSpec(name=name, signature_name=signature), inputs=tensors
            )
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())


def _in_batches(
    run: Callable[[NDArray[np.uint8]], dict[str, Any]], images: NDArray[np.uint8], size: int = 32
) -> Answer:
    parts: Sequence[dict[str, Any]] = [
        run(images[start : start + size]) for start in range(0, len(images), size)
    ]
    return {name: np.concatenate([np.asarray(p[name]) for p in parts]) for name in parts[0]}
