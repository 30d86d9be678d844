"""Distance and levels, against figures worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from diagnosis.core.drift import (
    FEWEST,
    PLACES,
    STATISTICS,
    Level,
    Limits,
    Reference,
    distance,
    judge,
    quantiles,
    reference_path,
)
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.validate import FIXES
from diagnosis.core.predictors.store import published_versions
from export.publishing.registry import check_version
from tests.product import ROOT

STORE = ROOT / "serving/models"


def make(**changes: object) -> Reference:
    fields = {
        "contract_digest": "c" * 64,
        "fields": 500,
        "groups": 25,
        "values": {"focus": quantiles(np.linspace(0, 1, 1001))},
        "limits": {"focus": Limits(0.2, 0.4)},
        "false_alarms": {"watch": 0.05, "drift": 0.01},
    }
    return Reference(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 0.0),
        ([1, 2], [3, 4], 1.0),
        ([1, 2, 3, 4], [3, 4, 5, 6], 0.5),  # at 2: 2/4 against none
        ([1, 1, 1, 2], [1, 2, 2, 2], 0.5),  # at 1: 3/4 against 1/4
        ([1, 2, 3], [2, 2], 1 / 3),  # at 1: 1/3 against none; at 2: 2/3 against all
    ],
)
def test_the_distance_is_the_largest_gap(
    first: list[float], second: list[float], expected: float
) -> None:
    found = distance(np.array(first, float), np.array(second, float))
    assert found == pytest.approx(expected)


def test_quantiles_stand_for_the_distribution() -> None:
    many = np.sort(np.random.default_rng(0).normal(size=5000))
    assert len(quantiles(many)) == PLACES
    assert distance(quantiles(many), many) <= 1 / PLACES


@pytest.mark.parametrize(
    ("shift", "level"), [(0.0, Level.NONE), (0.25, Level.WATCH), (0.5, Level.DRIFT)]
)
def test_a_shift_of_uniform_values_is_its_own_distance(shift: float, level: Level) -> None:
    (drift,) = judge(make(), [{"focus": value + shift} for value in np.linspace(0, 1, 200)])
    assert drift.distance == pytest.approx(shift, abs=0.02)
    assert drift.level is level


def test_with_too_few_values_nothing_is_said() -> None:
    fields = [{"focus": 9.0}] * (FEWEST - 1) + [{"structure": 9.0}] * 500
    (drift,) = judge(make(), fields)
    assert (drift.distance, drift.level) == (None, Level.NONE)
    (drift,) = judge(make(), [*fields, {"focus": 9.0}])
    assert (drift.distance, drift.level) == (1.0, Level.DRIFT)


def test_a_reference_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "reference.json"
    path.write_bytes(make().to_json())
    read = Reference.load(path)
    assert read.to_json() == make().to_json()
    assert read.limits["focus"].drift == 0.4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"contract_digest": 1}'])
def test_what_is_no_reference_says_how_to_make_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "reference.json"
    path.write_text(content)
    with pytest.raises(ContractError, match="python -m export reference"):
        Reference.load(path)


def test_every_published_version_has_its_reference() -> None:
    for version in published_versions(STORE, "all_smear"):
        reference = Reference.load(reference_path(STORE, "all_smear", version))
        contract = check_version(STORE, "all_smear", version)  # and its seal is whole
        assert reference.contract_digest == contract.digest
        assert tuple(reference.values) == STATISTICS
        for name, limits in reference.limits.items():
            assert 0 < limits.watch < limits.drift < 1, name


def test_every_check_but_those_of_the_file_is_watched() -> None:
    assert FIXES.keys() - set(STATISTICS) == {"size", "aspect"}
