import hashlib
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import (
    CONTRACT_FILE,
    LABELS,
    ModelContract,
    graph_digest,
    in_order,
)

Document = dict[str, Any]


def _changed(contract: ModelContract, change: Callable[[Document], object]) -> bytes:
    document = json.loads(contract.to_json())
    change(document)
    return json.dumps(document).encode()


def test_what_is_written_is_read_back(contract: ModelContract) -> None:
    raw = contract.to_json()
    read = ModelContract.from_json(raw)
    for field in fields(ModelContract):
        if field.name == "histogram_templates":
            np.testing.assert_allclose(
                read.histogram_templates, contract.histogram_templates, atol=1e-7
            )
            assert read.histogram_templates.dtype == np.float32
        elif field.name != "digest":
            assert getattr(read, field.name) == getattr(contract, field.name), field.name


def test_the_digest_is_that_of_the_file(contract: ModelContract, tmp_path: Path) -> None:
    raw = contract.to_json()
    path = tmp_path / CONTRACT_FILE
    path.parent.mkdir()
    path.write_bytes(raw)
    assert ModelContract.load(tmp_path).digest == hashlib.sha256(raw).hexdigest()
    path.write_bytes(raw + b" ")
    assert ModelContract.load(tmp_path).digest != hashlib.sha256(raw).hexdigest()


def test_the_labels_are_the_api_s_keys() -> None:
    assert LABELS == ("Benign", "Malignant Early Pre-B", "Malignant Pre-B", "Malignant Pro-B")


INCONSISTENT: dict[str, Callable[[Document], object]] = {
    "no benign label": lambda d: d.update(labels=["A", "B", "C", "D"]),
    "a label twice": lambda d: d.update(labels=["Benign", "A", "A", "B"]),
    "templates of another shape": lambda d: d["validation"].update(
        histogram_templates=[[[0.5, 0.5]] * 3]
    ),
    "one template only, flat": lambda d: d["validation"].update(
        histogram_templates=[[1.0] * 256] * 3
    ),
    "cover below the image": lambda d: d["input"]["covered"].update(bottom=225),
    "cover right of the image": lambda d: d["input"]["covered"].update(right=225),
    "cover before the image": lambda d: d["input"]["covered"].update(left=-1),
    "cover of no height": lambda d: d["input"]["covered"].update(top=224),
    "thresholds the wrong way round": lambda d: d.update(suspicious_min=0.1),
    "thresholds that meet": lambda d: d.update(suspicious_min=0.3, not_suspicious_max=0.3),
    "threshold above 1": lambda d: d.update(suspicious_min=1.01),
    "threshold below 0": lambda d: d.update(not_suspicious_max=-0.01),
    "threshold NaN": lambda d: d.update(ood_max=float("nan")),
    "metric NaN": lambda d: d.update(metrics={"accuracy": float("nan")}),
    "threshold infinite": lambda d: d.update(ood_max=float("inf")),
    "check threshold NaN": lambda d: d["validation"]["thresholds"].update(focus=float("nan")),
    "another resize": lambda d: d["input"].update(resize="INTER_LINEAR"),
    "another colour order": lambda d: d["input"].update(colour_order="BGR"),
    "no labels": lambda d: d.pop("labels"),
    "no cover": lambda d: d["input"].pop("covered"),
    "text for a number": lambda d: d.update(ood_max="large"),
    "null for a number": lambda d: d.update(ood_max=None),
    "a list for thresholds": lambda d: d["validation"].update(thresholds=[1]),
}


@pytest.mark.parametrize("name", INCONSISTENT)
def test_a_contract_that_contradicts_itself_is_refused(contract: ModelContract, name: str) -> None:
    with pytest.raises(ContractError, match=r"contract\.json is (malformed|inconsistent)"):
        ModelContract.from_json(_changed(contract, INCONSISTENT[name]))


def test_a_number_beyond_floats_is_refused(contract: ModelContract) -> None:
    raw = contract.to_json().replace(b'"ood_max":10.0', b'"ood_max":1e999')
    assert b"1e999" in raw
    with pytest.raises(ContractError, match="finite"):
        ModelContract.from_json(raw)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe"])
def test_what_is_no_contract_is_refused(raw: bytes) -> None:
    with pytest.raises(ContractError):
        ModelContract.from_json(raw)


def test_a_missing_contract_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="publish the version again"):
        ModelContract.load(tmp_path)


@pytest.fixture
def version(tmp_path: Path) -> Path:
    for name, content in {
        "saved_model.pb": b"graph",
        "variables/variables.index": b"index",
        "variables/variables.data-00000-of-00001": b"weights",
        "assets.extra/model.tflite": b"tflite",
        "assets.extra/model_card.md": b"card",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.index", "assets.extra/model.tflite"]
)
def test_the_graph_digest_covers_every_file_of_the_graph(version: Path, name: str) -> None:
    before = graph_digest(version)
    assert graph_digest(version) == before
    (version / name).write_bytes(b"other")
    changed = graph_digest(version)
    assert changed != before
    (version / name).rename((version / name).with_suffix(".renamed"))
    if name.startswith("variables"):
        assert graph_digest(version) not in (before, changed)
    else:
        with pytest.raises(ContractError, match="is missing"):
            graph_digest(version)


def test_the_graph_digest_leaves_the_model_card_out(version: Path) -> None:
    before = graph_digest(version)
    (version / "assets.extra/model_card.md").write_bytes(b"corrected")
    assert graph_digest(version) == before


def test_probabilities_stand_in_the_order_of_the_labels_and_others_behind() -> None:
    shuffled = {"Z": 0.1, **dict.fromkeys(reversed(LABELS), 0.2), "A": 0.1}
    assert list(in_order(shuffled).items()) == [
        *((one, 0.2) for one in LABELS),
        ("A", 0.1),
        ("Z", 0.1),
    ]
    assert list(in_order({LABELS[2]: 1.0})) == [LABELS[2]]
