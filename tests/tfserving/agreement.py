"""When two runtimes give the same answer to a field: stated here alone.

TensorFlow Serving (oneDNN) and LiteRT (XNNPACK) add up float32 in different orders. Against a real
server 2,542 real fields differed by 5.6e-5 at most, and 200 drawings, which lie between the classes
where the softmax is steep, by 1.44e-4. Twice 1e-4 holds both, and is a fifth of the distance that
calibration keeps between its fields and a bound (``training.calibrate.MARGIN``): headline and class
have to be the same.
"""

from collections.abc import Iterable

SERVED_TOLERANCE = 2e-4  # of every probability


def same_probabilities(found: Iterable[float], expected: Iterable[float]) -> bool:
    """Whether no probability differs by more than ``SERVED_TOLERANCE``."""
    pairs = zip(found, expected, strict=True)
    return all(abs(one - other) <= SERVED_TOLERANCE for one, other in pairs)
