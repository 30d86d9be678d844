"""Whether the fields of today look like those the model was trained on. Pure: no Django.

A version's *reference* holds, for each statistic of its training fields, the distribution and
two limits on the distance from it. ``export`` calibrates the limits on windows of
whole pseudo-patients, because fields of one patient are alike: the usual rule of thumb for a
population stability index (0.25 is "a major shift") is passed by every second honest window.

The distance is the two-sample Kolmogorov–Smirnov distance (Smirnov 1948): the largest gap
between the two cumulative distributions, in [0, 1].
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from diagnosis.core.errors import ContractError

# Scores of input checks, the stain, and the model's own measure of strangeness. Not `size` and
# `aspect`: the training fields were squashed to one size, so any camera would differ from them.
STATISTICS = (
    "stain_balance",
    "stain_strength",
    "colour_histogram",
    "brightness",
    "overexposure",
    "focus",
    "field_content",
    "nucleated_cells",
    "structure",
    "straight_edges",
    "ood_score",
)
WINDOW = 200  # fields that are looked at, the newest
FEWEST = 100  # fields below which nothing is said
PER_PATIENT = 10  # fields of one patient that count, so that a full window has ten patients
PLACES = 200  # quantiles by which a reference stands for a distribution


class Level(IntEnum):
    """What a distance means: nothing, something to watch, or that the inputs have drifted."""

    NONE = 0
    WATCH = 1
    DRIFT = 2


@dataclass(frozen=True, eq=False)
class Limits:
    """Of one statistic's distance: from here on ``watch``, from here on ``drift``."""

    watch: float
    drift: float


@dataclass(frozen=True, eq=False)
class Reference:
    """The training fields of one model version as validation and model measured them.

    Attributes:
        contract_digest: of the version that it belongs to.
        fields, groups: how many training fields, of how many pseudo-patients.
        values: by statistic, float64 [PLACES], evenly spaced quantiles in ascending order.
        limits: by statistic.
        false_alarms: how often windows of honest fields reach each level, all statistics
            together: ``{"watch": …, "drift": …}`` as calibrated, and as measured on held-out
            fields under ``held_out_watch`` and ``held_out_drift``.
    """

    contract_digest: str
    fields: int
    groups: int
    values: Mapping[str, NDArray[np.float64]]
    limits: Mapping[str, Limits]
    false_alarms: Mapping[str, float]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a reference.

        Raises:
            ContractError: the file is missing or malformed.
        """
        try:
            given = json.loads(path.read_bytes())
            return cls(
                contract_digest=given["contract_digest"],
                fields=int(given["fields"]),
                groups=int(given["groups"]),
                values={
                    name: np.array(one["quantiles"], float)
                    for name, one in given["statistics"].items()
                },
                limits={
                    name: Limits(float(one["watch"]), float(one["drift"]))
                    for name, one in given["statistics"].items()
                },
                false_alarms=dict(given["false_alarms"]),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ContractError(
                f"{path} cannot be used ({error!r}); make it with `python -m export reference`."
            ) from error

    def to_json(self) -> bytes:
        """The bytes ``load`` reads back."""
        document = {
            "contract_digest": self.contract_digest,
            "fields": self.fields,
            "groups": self.groups,
            "false_alarms": dict(self.false_alarms),
            "statistics": {
                name: {
                    "watch": round(self.limits[name].watch, 4),
                    "drift": round(self.limits[name].drift, 4),
                    "quantiles": [round(float(value), 5) for value in values],
                }
                for name, values in self.values.items()
            },
        }
        return json.dumps(document, allow_nan=False, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, eq=False)
class Drift:
    """How far one statistic of a window lies from the reference.

    Attributes:
        distance: in [0, 1]; ``None`` with fewer than ``FEWEST`` values.
        values: of the window, ascending.
        expected: of the reference, ascending.
    """

    statistic: str
    distance: float | None
    limits: Limits
    values: NDArray[np.float64]
    expected: NDArray[np.float64]

    @property
    def level(self) -> Level:
        """What the distance means."""
        if self.distance is None or self.distance < self.limits.watch:
            return Level.NONE
        return Level.WATCH if self.distance < self.limits.drift else Level.DRIFT


def reference_path(store: Path, name: str, version: int) -> Path:
    """Where the reference of a version lies.

    Beside the version, not in it: a published version is sealed, and one reference can then be
    made for versions that were published before there were any.
    """
    return store / name / f"input_reference_{version}.json"


def quantiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """``PLACES`` evenly spaced quantiles, which stand for a distribution of any size."""
    return np.quantile(values, (np.arange(PLACES) + 0.5) / PLACES)


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Two-sample Kolmogorov–Smirnov distance of two ascending arrays, in [0, 1]."""
    at = np.concatenate([first, second])
    below_first = np.searchsorted(first, at, side="right") / len(first)
    below_second = np.searchsorted(second, at, side="right") / len(second)
    return float(np.abs(below_first - below_second).max())


def judge(reference: Reference, fields: Sequence[Mapping[str, float]]) -> list[Drift]:
    """Every statistic of a window against the reference.

    Args:
        fields: the statistics of each field by name; one may lack some.
    """
    found = []
    for name, expected in reference.values.items():
        values = np.sort([field[name] for field in fields if name in field])
        enough = len(values) >= FEWEST
        found.append(
            Drift(
                statistic=name,
                distance=distance(expected, values) if enough else None,
                limits=reference.limits[name],
                values=values,
                expected=expected,
            )
        )
    return found
