"""How a field is stained, in two numbers that decide nothing: they are kept to see drift.

By the Beer–Lambert law a dye adds optical density, so its balance and amount are read off
densities, not grey levels. Both are relative to the field's own empty glass, and so depend
little on lamp and exposure.
"""

import math

import numpy as np
from numpy.typing import NDArray

GLASS = 0.95  # quantile of a channel that is taken for empty glass
LEAST = 1e-3  # optical density; an image without any stain has no balance to speak of


def stain_statistics(histogram: NDArray[np.float32]) -> dict[str, float]:
    """Balance and strength of the stain of one field.

    Azure (methylene blue) absorbs red light, eosin green. Between this laboratory's
    pseudo-patients the balance varies least of sixteen such numbers that were tried, and of them
    it is moved most when the two dyes are mixed otherwise (docs/drift.md).

    Args:
        histogram: float32 [3, 256] of ``validate.colour_histogram``: RGB, visible part.

    Returns:
        ``stain_balance``: natural logarithm of the mean optical density in red over that in
        green; more eosin, or less azure, makes it smaller. ``stain_strength``: mean optical
        density in green, natural logarithm, at least 0.
    """
    levels = np.arange(256)
    glass = [int(np.searchsorted(np.cumsum(channel), GLASS)) for channel in histogram[:2]]
    red, green = (
        max(float(channel @ -np.log((levels + 1) / (min(white, 255) + 1))), LEAST)
        for channel, white in zip(histogram[:2], glass, strict=True)
    )
    return {"stain_balance": math.log(red / green), "stain_strength": green}
