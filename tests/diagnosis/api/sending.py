"""Sending a field to the API, and what every refusal looks like."""

import base64
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from diagnosis.models import Diagnosis

PROBLEM = "application/problem+json"


def as_text(data: bytes) -> str:
    """Base64 of a file."""
    return base64.b64encode(data).decode()


def post(api: APIClient, data: bytes, **members: Any) -> Any:
    """Send a file as JSON."""
    return api.post("/api/diagnose", {"image": as_text(data), **members})


def post_file(api: APIClient, data: bytes, name: str = "field.jpg", **members: Any) -> Any:
    """Send a file as a form."""
    file = SimpleUploadedFile(name, data)
    return api.post("/api/diagnose", {"image": file, **members}, format="multipart")


def refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """A problem document, and nothing stored."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    document = response.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["detail"].endswith(".")
    assert document["request_id"] == response["X-Request-ID"]
    assert not Diagnosis.objects.exists()
    return document
