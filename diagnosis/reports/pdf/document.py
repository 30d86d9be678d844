"""The report of a case as PDF."""

import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.platypus import Flowable, Image, LongTable, Paragraph, Spacer, Table, TableStyle

from diagnosis.models import Signature
from diagnosis.reports import wording
from diagnosis.reports.content.field_rows import FieldRow, Probability
from diagnosis.reports.content.snapshot import Document
from diagnosis.reports.content.view import Fact, Line, Sheet, Signed, sheet
from diagnosis.reports.pdf.page import (
    BODY,
    BOLD,
    GROUND,
    HEADING,
    INK,
    LARGE,
    LINE,
    MUTED,
    MUTED_SMALL,
    REGULAR,
    SMALL,
    STATES,
    STRONG,
    TITLE,
    TYPED,
    WIDTH,
    NumberedCanvas,
    ReportDocument,
    inline,
    paragraphs,
)
from diagnosis.reports.pdf.pictures import field_pictures
from diagnosis.reports.pdf.text_shaping import MISSING, printable
from diagnosis.reports.pdf.typefaces import glyphs

PICTURE = 28 * mm  # the longer side of a field's picture
_COLUMNS = (10 * mm, 33 * mm, 74 * mm, WIDTH - 117 * mm)
_PADDING = ("PADDING", (0, 0), (-1, -1), 3)


def render(
    content: Document, signatures: Sequence[Signature], *, preliminary: bool = False
) -> bytes:
    """A PDF of ``content`` with the ``signatures`` that stand under it.

    The same arguments and stored images give the same bytes.

    Args:
        preliminary: a signature is still missing. What nobody has signed is preliminary whatever
            is said here.
    """
    report = sheet(content, signatures, preliminary=preliminary)
    buffer = io.BytesIO()
    document = ReportDocument(buffer, report, _made_at(content, signatures))
    document.build(_story(report, field_pictures(content)), canvasmaker=NumberedCanvas)
    return buffer.getvalue()


def _made_at(content: Document, signatures: Sequence[Signature]) -> datetime:
    """The time of the last signature, else of the last thing that happened to a field."""
    if signatures:
        return max(signature.signed_at for signature in signatures).astimezone(UTC)
    times = [field["uploaded_at"] for field in content["fields"]]
    times += [field["reading"]["at"] for field in content["fields"] if field["reading"]]
    return max(map(datetime.fromisoformat, times), default=datetime(2000, 1, 1, tzinfo=UTC))


def _story(report: Sheet, pictures: dict[int, bytes]) -> list[Flowable]:
    story = [
        *_head(report),
        *_facts(report.patient + report.specimen),
        _heading(wording.HEADINGS["conclusion"]),
        *paragraphs(report.conclusion, LARGE if report.conclusion_key else BODY),
        *_lines(report.conclusion_lines),
        _heading(wording.HEADINGS["suggestion"]),
        *paragraphs(report.software, STRONG),
        *_lines(map(Line, report.software_lines)),
        _heading(wording.HEADINGS["fields"]),
        *paragraphs(report.used),
        Spacer(0, 3),
        *_fields(report.fields, pictures),
    ]
    if report.withdrawn:
        story += [_heading(wording.HEADINGS["withdrawn"]), *_lines(report.withdrawn)]
    for title, facts in report.models:
        story += [_heading(title), *_facts(facts, columns=1)]
    story += [
        _heading(wording.HEADINGS["limits"]),
        *(Paragraph(f"• {inline(text)}", SMALL) for text in report.limits),
    ]
    story += [_heading(wording.HEADINGS["signatures"]), *_signatures(report.signatures)]
    story += [
        _heading(wording.HEADINGS["hash"]),
        *paragraphs(report.sha256, STRONG),
        *paragraphs(report.hash_note, SMALL),
    ]
    if _has_code_points(report):
        story += [Spacer(0, 6), *paragraphs(wording.CODE_POINTS, MUTED_SMALL)]
    return story


def _has_code_points(report: Sheet) -> bool:
    """Whether anything in the report is in letters that the font lacks."""
    return bool(MISSING.search(printable(repr(report), glyphs())))


def _heading(text: str) -> Flowable:
    return Paragraph(inline(text), HEADING)


def _lines(lines: Iterable[Line]) -> list[Flowable]:
    return [
        flowable
        for line in lines
        for flowable in paragraphs(line.text, TYPED if line.typed else BODY)
    ]


def _head(report: Sheet) -> list[Flowable]:
    """Laboratory, title, banner."""
    ink, ground = STATES[report.state]
    banner: list[Flowable] = [
        Paragraph(f'<font color="{ink.hexval()}">{report.banner}</font>', LARGE)
    ]
    banner += _lines(report.notes)
    box = Table([[banner]], [WIDTH], splitInRow=1)
    box.setStyle(
        [
            ("BACKGROUND", (0, 0), (-1, -1), ground),
            ("BOX", (0, 0), (-1, -1), 0.8, ink),
            ("LINEBEFORE", (0, 0), (0, -1), 4, ink),
            ("LEFTPADDING", (0, 0), (-1, -1), 10),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
        ]
    )
    story = paragraphs(report.laboratory, STRONG) if report.laboratory else []
    story += [Paragraph(inline(f"{wording.TITLE}: {report.accession}"), TITLE), Spacer(0, 4)]
    if report.demonstration:
        story += [*paragraphs(report.demonstration, LARGE), Spacer(0, 4)]
    return [*story, box, Spacer(0, 8)]


def _facts(facts: Sequence[Fact], columns: int = 2) -> list[Flowable]:
    """Labels with their values, read down the first column and then down the second."""
    rows = -(-len(facts) // columns)
    cells = [(paragraphs(fact.label, MUTED_SMALL), paragraphs(fact.value)) for fact in facts] + [
        ([], [])
    ] * (rows * columns - len(facts))
    grid = [[part for cell in cells[row::rows] for part in cell] for row in range(rows)]
    label = 34 * mm
    table = Table(grid, [label, WIDTH / columns - label] * columns, splitInRow=1)
    table.setStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("PADDING", (0, 0), (-1, -1), 1.5),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
        ]
    )
    return [table]


def _fields(rows: Sequence[FieldRow], pictures: dict[int, bytes]) -> list[Flowable]:
    if not rows:
        return []
    grid = [[Paragraph(title, STRONG) for title in wording.COLUMNS.values()]]
    grid += [
        [
            paragraphs(str(row.number), STRONG),
            _pictures(row, pictures.get(row.number)),
            _software(row),
            _reader(row),
        ]
        for row in rows
    ]
    table = LongTable(grid, _COLUMNS, repeatRows=1, splitInRow=1)
    table.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("BACKGROUND", (0, 0), (-1, 0), GROUND),
                _PADDING,
            ]
        )
    )
    return [table]


def _pictures(row: FieldRow, picture: bytes | None) -> list[Flowable]:
    """The first column of a field. An activation map, once a version's may be shown, goes below
    the picture."""
    if picture is None:
        found = paragraphs(wording.IMAGE_MISSING, SMALL)
    else:
        width, height = ImageReader(io.BytesIO(picture)).getSize()
        scale = PICTURE / max(width, height)
        found = [Image(io.BytesIO(picture), width * scale, height * scale, hAlign="LEFT")]
        found.append(Spacer(0, 2))
    found += paragraphs(row.file_name, MUTED_SMALL) if row.file_name else []
    return [*found, *paragraphs(f"{row.size}\nsha256 {row.image_sha256[:8]}…", MUTED_SMALL)]


def _software(row: FieldRow) -> list[Flowable]:
    found = paragraphs(row.outcome, STRONG)
    if row.category:
        before, name, after = map(inline, row.category)
        found.append(Paragraph(f'{before}<font name="{BOLD}">{name}</font>{after}', SMALL))
    if row.probabilities:
        found.append(_Bars(row.probabilities))
    for text in (*row.failed_checks, *row.remarks):
        found += paragraphs(text, SMALL)
    return found


def _reader(row: FieldRow) -> list[Flowable]:
    found = paragraphs(row.reading, STRONG)
    if row.reason:
        found += [*paragraphs(wording.REASON, MUTED_SMALL), *paragraphs(row.reason, SMALL)]
    for text in row.reader:
        found += paragraphs(text, MUTED_SMALL)
    return found


def _signatures(signatures: Sequence[Signed]) -> list[Flowable]:
    found: list[Flowable] = []
    for signature in signatures:
        found += [
            *paragraphs(signature.name, STRONG),
            *paragraphs(signature.at),
            *paragraphs(signature.meaning),
            Spacer(0, 4),
        ]
    return found or paragraphs(wording.NO_SIGNATURE)


class _Bars(Flowable):
    """The probabilities of one field, a line each: class, bar, figure."""

    LEADING, SIZE = 8.6, 6.8

    def __init__(self, probabilities: Sequence[Probability]) -> None:
        super().__init__()
        self.probabilities = probabilities

    def wrap(self, width: float, _: float) -> tuple[float, float]:
        """All the width there is."""
        self.width, self.height = width, self.LEADING * len(self.probabilities) + 3
        return self.width, self.height

    def draw(self) -> None:
        """From the top down, so that the text comes out in that order."""
        canvas, start, length = self.canv, 31 * mm, self.width - 45 * mm
        for line, one in enumerate(self.probabilities, start=1):
            y = self.height - self.LEADING * line
            canvas.setFont(BOLD if one.top else REGULAR, self.SIZE)
            canvas.setFillColor(INK)
            canvas.drawString(0, y, one.label)
            canvas.drawRightString(self.width, y, one.text)
            canvas.setFillColor(LINE)
            canvas.rect(start, y + 0.6, length, 4, stroke=0, fill=1)
            canvas.setFillColor(INK if one.top else MUTED)
            canvas.rect(start, y + 0.6, length * one.value, 4, stroke=0, fill=1)
