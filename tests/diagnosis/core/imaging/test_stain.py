"""Two numbers of the stain, against densities that the test lays down."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from diagnosis.core.drift import STATISTICS
from diagnosis.core.imaging.stain import stain_statistics
from tests.diagnosis.made.pictures import make_contract


def histogram(red: dict[int, float], green: dict[int, float]) -> NDArray[np.float32]:
    found = np.zeros((3, 256), np.float32)
    for channel, shares in enumerate((red, green, {254: 1.0})):
        for level, share in shares.items():
            found[channel, level] = share
    return found


def test_densities_by_hand() -> None:
    """Glass 255 (256 with the 1 added): level 127 halves the light, 63 quarters it."""
    found = stain_statistics(histogram({255: 0.5, 127: 0.5}, {255: 0.5, 63: 0.5}))
    assert found["stain_strength"] == pytest.approx(0.5 * math.log(4))
    assert found["stain_balance"] == pytest.approx(math.log(0.5))
    assert found.keys() == {"stain_strength", "stain_balance"} <= set(STATISTICS)


def test_a_darker_lamp_changes_nothing() -> None:
    bright = stain_statistics(histogram({255: 0.5, 127: 0.5}, {255: 0.5, 63: 0.5}))
    dark = stain_statistics(histogram({127: 0.5, 63: 0.5}, {127: 0.5, 31: 0.5}))
    assert dark == pytest.approx(bright)


@pytest.mark.parametrize("level", [0, 255])
def test_an_image_of_one_colour_has_finite_numbers(level: int) -> None:
    found = stain_statistics(histogram({level: 1.0}, {level: 1.0}))
    assert found == {"stain_balance": 0.0, "stain_strength": 1e-3}


def test_validation_measures_it() -> None:
    from diagnosis.core.formats.decode import decode
    from diagnosis.core.imaging.preprocess import preprocess
    from diagnosis.core.imaging.validate import colour_histogram, validate
    from tests.diagnosis.made.pictures import smear_jpeg

    contract, decoded = make_contract(), decode(smear_jpeg())
    canonical = preprocess(decoded.rgb, contract)
    expected = stain_statistics(colour_histogram(canonical, contract.covered))
    assert validate(decoded, canonical, contract).stain == expected
