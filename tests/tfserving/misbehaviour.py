"""What a model server may say, good and bad, and what is asked of it in tests."""

import base64
import json

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.predictors.tf_serving import TFServingPredictor
from tests.tfserving.model_server import Asked, Reply, Script, error_reply, json_reply

MEAN = 1 / 4


def numbered(count: int) -> NDArray[np.uint8]:
    """Images that can be told apart: all pixels of one are its number."""
    return np.stack([np.full((224, 224, 3), number, np.uint8) for number in range(count)])


def answer(asked: Asked) -> Reply:
    """Each image's ``ood_score`` is its first byte."""
    rows = json.loads(asked.body)["instances"]
    first = [base64.b64decode(row["image_bytes"]["b64"])[0] for row in rows]
    return json_reply(
        {"predictions": [{"probabilities": [MEAN] * 4, "ood_score": n} for n in first]}
    )


def in_turn(*replies: Reply | Script) -> Script:
    """One after the other; the last for ever."""
    left = list(replies)

    def script(asked: Asked) -> Reply:
        reply = left.pop(0) if len(left) > 1 else left[0]
        return reply if isinstance(reply, Reply) else reply(asked)

    return script


def scores(predictor: TFServingPredictor, count: int = 1) -> list[float]:
    return [prediction.ood_score for prediction in predictor.predict(numbered(count))]


# Another attempt may find it gone.
PASSING = {
    "empty reply": Reply(hang_up=True),
    "cut off": json_reply({"predictions": []}, cut_after=5),
    "queue full": error_reply(
        503, "The batch scheduling queue to which this task was submitted is full; task size is 16"
    ),
    "unavailable": error_reply(503, "no healthy upstream"),  # of a proxy
    "timed out": error_reply(504, "Timed out waiting for notification"),
    "unknown version": error_reply(404, "Servable not found for request: Specific(all_smear, 7)"),
    "half-copied model": error_reply(400, "Could not find variable conv/kernel"),
    "a proxy's page": Reply(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
    "a captive portal": Reply(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"}),
    "moved": Reply(302, b"", {"Location": "http://127.0.0.1:9/"}),
    "no answer": Reply(silent=True),
    "garbage": Reply(200, b"\xff\xfe{{{"),
    "JSON cut off at a proxy": Reply(200, b'{"predictions": [{"probabilities": [0.2'),
    "nested": Reply(200, b"[" * 50_000),
}


# The same image would get it again.
NONSENSE = {
    "NaN": Reply(200, b'{"predictions": [{"probabilities": [NaN, 0, 0, 1], "ood_score": 1}]}'),
    "infinite score": Reply(
        200, b'{"predictions": [{"probabilities": [0, 0, 0, 1], "ood_score": Infinity}]}'
    ),
    "five classes": json_reply({"predictions": [{"probabilities": [0.2] * 5, "ood_score": 1}]}),
    "no sum of 1": json_reply({"predictions": [{"probabilities": [0.2] * 4, "ood_score": 1}]}),
    "negative": json_reply({"predictions": [{"probabilities": [-1, 1, 1, 0], "ood_score": 1}]}),
    "two answers": json_reply(
        {"predictions": [{"probabilities": [1, 0, 0, 0], "ood_score": 1}] * 2}
    ),
    "no answers": json_reply({"predictions": []}),
    "no score": json_reply({"predictions": [{"probabilities": [1, 0, 0, 0]}]}),
    "a list as score": json_reply(
        {"predictions": [{"probabilities": [1, 0, 0, 0], "ood_score": [1]}]}
    ),
    "one output": json_reply({"predictions": [[1, 0, 0, 0]]}),
    "columns": json_reply({"outputs": {"probabilities": [[1, 0, 0, 0]], "ood_score": [1]}}),
    "text": json_reply({"predictions": [{"probabilities": "abcd", "ood_score": 1}]}),
    "a list": json_reply([1]),
    "null": json_reply(None),
}
