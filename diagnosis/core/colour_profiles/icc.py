"""ICC profiles of colour spaces that a file names by a number or a word instead of embedding one.

A profile of this kind is a matrix and one curve. As a profile it goes the way of every embedded
one: into Little CMS, and into the JPEG that is kept.
"""

import struct
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]  # x and y of CIE 1931
Curve = tuple[float, ...]  # parameters of ICC's curve types 0 (an exponent) and 3

D50_XYZ = (0.9642, 1.0, 0.8249)
D65: Point = (0.3127, 0.3290)
D50: Point = (0.3457, 0.3585)
SRGB: tuple[Point, ...] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
ADOBE: tuple[Point, ...] = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
P3: tuple[Point, ...] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
BT2020: tuple[Point, ...] = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
ROMM: tuple[Point, ...] = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))

SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BT709_CURVE: Curve = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
ROMM_CURVE: Curve = (1.8, 1.0, 0.0, 1 / 16, 16 / 512)
ADOBE_CURVE: Curve = (563 / 256,)

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def adobe_rgb() -> bytes:
    """Adobe RGB (1998), which cameras name in EXIF alone."""
    return rgb_profile("Adobe RGB (1998)", ADOBE, D65, ADOBE_CURVE)


def display_p3() -> bytes:
    """Display P3."""
    return rgb_profile("Display P3", P3, D65, SRGB_CURVE)


def romm_rgb() -> bytes:
    """ROMM RGB, which is ProPhoto RGB."""
    return rgb_profile("ROMM RGB", ROMM, D50, ROMM_CURVE)


@lru_cache(maxsize=32)
def rgb_profile(name: str, primaries: tuple[Point, ...], white: Point, curve: Curve) -> bytes:
    """An ICC profile, version 4, of a display with these colours.

    Raises:
        ValueError: no colours can be mixed of ``primaries``, or the curve is none.
    """
    columns = _columns(primaries, white)
    if not np.isfinite(columns).all() or np.abs(columns).max() > 10 or not 0.1 < curve[0] < 10:
        raise ValueError("These are no primaries of a display.")
    tags = {
        b"desc": _text(name),
        b"cprt": _text("No copyright"),
        b"wtpt": _xyz(D50_XYZ),
        **{
            letter + b"XYZ": _xyz(tuple(columns[:, place]))
            for place, letter in enumerate((b"r", b"g", b"b"))
        },
        **{letter + b"TRC": _curve(curve) for letter in (b"r", b"g", b"b")},
    }
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">L", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sLL", tag, start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    return _header(start + len(body)) + table + body


def _header(size: int) -> bytes:
    head = struct.pack(">L4xL4s4s4s12x4s", size, 0x04200000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head.ljust(68, b"\0") + _numbers(D50_XYZ)).ljust(128, b"\0")


def _columns(primaries: tuple[Point, ...], white: Point) -> NDArray[np.float64]:
    """XYZ of red, green and blue as columns, adapted from ``white`` to D50."""
    try:
        unscaled = np.array([_from_xy(point) for point in primaries]).T
        light = np.array(_from_xy(white))
        matrix = unscaled * np.linalg.solve(unscaled, light)
        cones = (_BRADFORD @ D50_XYZ) / (_BRADFORD @ light)
    except (ZeroDivisionError, np.linalg.LinAlgError) as error:
        raise ValueError("These are no primaries of a display.") from error
    return np.linalg.inv(_BRADFORD) @ np.diag(cones) @ _BRADFORD @ matrix


def _from_xy(point: Point) -> tuple[float, float, float]:
    x, y = point
    return x / y, 1.0, (1 - x - y) / y


def _numbers(values: tuple[float, ...]) -> bytes:
    return b"".join(struct.pack(">l", round(value * 65536)) for value in values)


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + _numbers(values)


def _curve(curve: Curve) -> bytes:
    kind = 0 if len(curve) == 1 else 3
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _numbers(curve)


def _text(text: str) -> bytes:
    coded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">LL2s2sLL", 1, 12, b"en", b"US", len(coded), 28) + coded
