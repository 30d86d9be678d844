import cv2
import numpy as np
import pytest

from diagnosis.core.formats.decode import decode
from diagnosis.core.imaging.contract import ModelContract, Rectangle
from diagnosis.core.imaging.preprocess import cover, preprocess, resize
from diagnosis.core.imaging.synthetic import draw_smear
from tests.diagnosis.made.pictures import COVERED, encode


def test_a_canonical_image_has_the_contract_s_size(contract: ModelContract) -> None:
    canonical = preprocess(np.zeros((300, 400, 3), np.uint8), contract)
    assert canonical.shape == (224, 224, 3)
    assert canonical.dtype == np.uint8


def test_the_whole_field_is_squashed_not_cropped(contract: ModelContract) -> None:
    field = np.full((448, 896, 3), 200, np.uint8)
    field[:, :4] = (255, 0, 0)
    field[:, -4:] = (0, 0, 255)
    canonical = preprocess(field, contract)
    assert tuple(canonical[100, 0]) == (255, 0, 0)
    assert tuple(canonical[100, -1]) == (0, 0, 255)


def test_each_canonical_pixel_is_the_mean_of_those_it_stands_for() -> None:
    field = np.random.default_rng(1).integers(0, 256, (448, 672, 3), np.uint8)
    blocks = field.reshape(224, 2, 224, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(field, 224, 224), blocks, atol=0.51)


def test_the_scale_bar_corner_is_covered_and_nothing_else(contract: ModelContract) -> None:
    field = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
    canonical = preprocess(field, contract)
    corner = (slice(192, 224), slice(160, 224))
    assert (canonical[corner] == COVERED.fill).all()
    canonical[corner] = field[corner]
    np.testing.assert_array_equal(canonical, field)


def test_the_given_picture_stays_as_it_was(contract: ModelContract) -> None:
    for side in (224, 300):
        field = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
        before = field.copy()
        preprocess(field, contract)
        np.testing.assert_array_equal(field, before)


def test_the_colour_of_the_cover_is_the_contract_s() -> None:
    painted = cover(np.zeros((10, 10, 3), np.uint8), Rectangle(2, 3, 5, 7, (10, 20, 30)))
    assert (painted[2:5, 3:7] == (10, 20, 30)).all()
    assert painted.sum() == 3 * 4 * 60


@pytest.mark.parametrize(("height", "width"), [(768, 1024), (1944, 2592)])
def test_a_scaled_decode_hardly_moves_the_canonical_image(
    contract: ModelContract, height: int, width: int
) -> None:
    jpeg = encode("JPEG", draw_smear(5, height, width), quality=95)
    full = cv2.cvtColor(
        cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )
    scaled = decode(jpeg).rgb
    difference = preprocess(scaled, contract).astype(int) - preprocess(full, contract)
    assert np.abs(difference).mean() < 0.6
    assert np.abs(difference).max() <= 8
