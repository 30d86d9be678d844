"""What a report's PDF says, and reports to print."""

import copy
import io
from datetime import UTC, datetime
from typing import Any

from pypdf import PdfReader

from diagnosis.models import Signature
from diagnosis.reports.content.snapshot import Document, content_sha256


def read(data: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(data), strict=True)


def text(data: bytes) -> str:
    """All words in the order of reading, white space collapsed."""
    return " ".join(" ".join(page.extract_text() for page in read(data).pages).split())


def in_order(found: str, *parts: str) -> None:
    """Each of ``parts`` stands behind the one before it."""
    at = 0
    for part in parts:
        assert part in found[at:], f"{part!r} is not there, or not behind what stands before it"
        at = found.index(part, at) + len(part)


def signature(content: Document, name: str = "Grace Hopper", **changes: Any) -> Signature:
    return Signature(
        printed_name=name,
        meaning="review",
        content_sha256=content_sha256(content),
        signed_at=datetime(2026, 7, 2, 6, 5, 4, tzinfo=UTC),
        **changes,
    )


def concluded(content: Document, **changes: Any) -> Document:
    """``content`` with a conclusion."""
    conclusion = {
        "headline": "suspicious",
        "comment": "",
        "reason": "",
        "agrees": True,
        "author": {"id": 1, "username": "clinician", "name": "Grace Hopper"},
        "at": "2026-07-02T06:05:04+00:00",
    }
    return {**copy.deepcopy(content), "conclusion": {**conclusion, **changes}}
