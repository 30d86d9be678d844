"""TensorFlow Serving's REST bodies: what is sent, and what an answer means.

Images travel as base64 of their raw bytes to ``serving_bytes``: a sixteenth of a list of floats,
and hundreds of times cheaper to write. ``explain`` has a float input only.
"""

import binascii
import json
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.errors import ModelAwayError, ModelBusyError, PredictorError

QUEUE_FULL = "batch scheduling queue"  # of the 503 by which batching turns a call away
QUOTED_AT_MOST = 160  # characters of a server's error: it may repeat the whole request
Row = dict[str, NDArray[np.float32]]

# x/127.5 − 1 of each possible byte, as the shortest text that is the same float32 again.
_NORMALISED = [
    str(value) for value in np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)
]


class _NotANumberError(ValueError):
    """JSON holds a bare NaN or Infinity, as TensorFlow Serving writes them."""


def bytes_request(images: NDArray[np.uint8]) -> bytes:
    """The body that asks ``serving_bytes`` about uint8 [N, height, width, 3]."""
    rows = b",".join(
        b'{"image_bytes":{"b64":"%s"}}' % binascii.b2a_base64(image.tobytes(), newline=False)
        for image in images
    )
    return b'{"signature_name":"serving_bytes","instances":[%s]}' % rows


def explain_request(image: NDArray[np.uint8]) -> bytes:
    """The body that asks ``explain`` about one image, uint8 [height, width, 3]."""
    height, width, _ = image.shape
    numbers = iter([_NORMALISED[value] for value in image.tobytes()])
    pixels = [f"[{red},{green},{blue}]" for red, green, blue in zip(*[numbers] * 3, strict=True)]
    rows = [",".join(pixels[row * width : (row + 1) * width]) for row in range(height)]
    return f'{{"signature_name":"explain","instances":[[[{"],[".join(rows)}]]]}}'.encode()


def read_rows(status: int, body: bytes, count: int, outputs: Sequence[str]) -> list[Row]:
    """The answer to a request of ``count`` images: each row's ``outputs`` as float32.

    Raises:
        ModelBusyError: batching has no room for it (a 503 that says so).
        ModelAwayError: the version is not loaded there, or what stands before it has no server
            (404, other 503, 504).
        PredictorError: permanent if a well-formed answer does not hold what was asked for, for
            the same image would get it again. Anything else that is not an answer is not, a 400
            included: what is sent is always well-formed, so the fault is the server's, such as a
            half-copied version.
    """
    if status in (404, 503, 504):
        said = quote(body)
        kind = ModelBusyError if status == 503 and QUEUE_FULL in said else ModelAwayError
        raise kind(f"HTTP {status}: {said}")
    if status != 200:
        raise PredictorError(f"HTTP {status}: {quote(body)}", permanent=False)
    try:
        document = json.loads(body, parse_constant=_refuse)
    except _NotANumberError as error:
        raise PredictorError(f"the answer holds {error}", permanent=True) from error
    except (ValueError, RecursionError) as error:  # cut off, or not from a model server
        raise PredictorError(f"the answer is no JSON: {quote(body)}", permanent=False) from error
    try:
        rows = document["predictions"]
        answers = [{name: np.asarray(row[name], np.float32) for name in outputs} for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise PredictorError(
            f"the answer does not hold {' and '.join(outputs)}: {quote(body)}", permanent=True
        ) from error
    if len(answers) != count:
        raise PredictorError(f"{len(answers)} answers to {count} images", permanent=True)
    return answers


def read_state(status: int, body: bytes) -> str:
    """What the answer to ``GET …/versions/<N>`` says of the version: its state, or why none.

    ``AVAILABLE`` alone means that it can be asked: the status stays 200 when all is unloaded.
    """
    try:
        statuses = json.loads(body)["model_version_status"]
        state = str(statuses[0]["state"])
    except (ValueError, KeyError, TypeError, IndexError):
        return f"HTTP {status}"
    return state if status == 200 else f"HTTP {status}"


def quote(body: bytes) -> str:
    """The beginning of a server's error, on one line."""
    text = body[: 8 * QUOTED_AT_MOST].decode("utf-8", "replace")
    try:
        document: Any = json.loads(body[: 64 * 1024])
        text = str(document["error"])
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    text = " ".join(text.split())
    return text if len(text) <= QUOTED_AT_MOST else text[:QUOTED_AT_MOST] + "…"


def _refuse(constant: str) -> NoReturn:
    raise _NotANumberError(constant)
