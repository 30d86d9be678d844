"""The report of a case as PDF."""

import io
from collections.abc import Sequence

from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate

from diagnosis.models import Signature
from diagnosis.reports.content import Document, canonical


def render(content: Document, signatures: Sequence[Signature]) -> bytes:
    """A PDF of ``content`` with the ``signatures`` that stand under it."""
    buffer = io.BytesIO()
    style = getSampleStyleSheet()["Normal"]
    lines = [canonical(content), *(signature.printed_name for signature in signatures)]
    SimpleDocTemplate(buffer, pagesize=A4).build([Paragraph(line, style) for line in lines])
    return buffer.getvalue()
