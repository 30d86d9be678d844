"""The OpenAPI document says what the API does."""

import io
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from rest_framework.test import APIClient

from diagnosis.core.imaging.contract import LABELS


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    out = io.StringIO()
    call_command("spectacular", validate=True, fail_on_warn=True, stdout=out)
    return yaml.safe_load(out.getvalue())


def _components(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return schema["components"]["schemas"][name]


def test_diagnose_takes_json_and_multipart(schema: dict[str, Any]) -> None:
    body = schema["paths"]["/api/diagnose"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    as_json = _components(schema, "DiagnoseRequest")
    assert as_json["properties"]["image"]["type"] == "string"
    assert "format" not in as_json["properties"]["image"]
    as_form = _components(schema, "DiagnoseForm")
    assert as_form["properties"]["image"]["format"] == "binary"
    for part in (as_json, as_form):
        assert part["required"] == ["image"]


def test_every_refusal_is_a_problem_document(schema: dict[str, Any]) -> None:
    for address in ("/api/diagnose", "/api/diagnoses", "/api/diagnoses/{id}", "/api/models"):
        for operation in schema["paths"][address].values():
            refusals = {
                status: list(answer["content"])
                for status, answer in operation["responses"].items()
                if int(status) >= 400
            }
            assert {"401", "403"} <= refusals.keys()
            assert all(types == ["application/problem+json"] for types in refusals.values())


def test_the_answers_of_diagnose(schema: dict[str, Any]) -> None:
    answers = schema["paths"]["/api/diagnose"]["post"]["responses"]
    assert {"200", "201", "202", "400", "401", "403", "413", "415", "422", "503"} == set(answers)
    refused = answers["422"]["content"]["application/problem+json"]["schema"]["$ref"]
    assert {"validation", "id", "code", "fix"} <= set(
        _components(schema, refused.rpartition("/")[2])["properties"]
    )


def test_the_image_is_binary(schema: dict[str, Any]) -> None:
    answer = schema["paths"]["/api/diagnoses/{id}/image"]["get"]["responses"]["200"]
    assert {"image/jpeg", "image/png"} == set(answer["content"])


def test_the_probabilities_are_named_by_label(schema: dict[str, Any]) -> None:
    assert tuple(_components(schema, "Probabilities")["properties"]) == LABELS


@pytest.mark.django_db
def test_it_is_served_to_who_signed_in(api: APIClient) -> None:
    assert api.get("/api/schema").status_code == 200
    assert APIClient().get("/api/schema").status_code == 401
