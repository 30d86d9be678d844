"""The paper of a report: fonts, styles, head and foot of every page. Lengths are in points."""

from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape

from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph

from diagnosis.core.intended_use import INTENDED_USE, RESEARCH_USE
from diagnosis.reports import wording
from diagnosis.reports.content.view import Sheet
from diagnosis.reports.pdf.text_shaping import as_seen, printable, reads_leftwards
from diagnosis.reports.pdf.typefaces import BOLD, REGULAR, composed, glyphs

rl_config.useA85 = 0  # streams stay binary, which makes the file smaller by a fifth

MARGIN = 15 * mm
WIDTH = A4[0] - 2 * MARGIN
HEAD, FOOT = 20 * mm, 21 * mm
TOTAL = "total"  # the form that holds the number of pages, drawn when it is known

INK, MUTED, LINE, GROUND = (HexColor(code) for code in ("#1e1a2b", "#5b566b", "#c6c3d0", "#f5f4f8"))
STATES: dict[str, tuple[Color, Color]] = {  # ink and ground of the banner
    "preliminary": (HexColor("#7d4a00"), HexColor("#fdf1dc")),
    "final": (HexColor("#0b5d5e"), HexColor("#e2f3f2")),
    "amended": (HexColor("#1c4f94"), HexColor("#e6effb")),
}

BODY = ParagraphStyle("body", fontName=REGULAR, fontSize=8.5, leading=11.5, textColor=INK)
SMALL = ParagraphStyle("small", BODY, fontSize=7, leading=9.2)
MUTED_SMALL = ParagraphStyle("muted", SMALL, textColor=MUTED)
STRONG = ParagraphStyle("strong", BODY, fontName=BOLD)
LARGE = ParagraphStyle("large", BODY, fontName=BOLD, fontSize=13, leading=17)
TYPED = ParagraphStyle("typed", BODY, leftIndent=10, rightIndent=10)
HEADING = ParagraphStyle(
    "heading", BODY, fontName=BOLD, fontSize=10, leading=13, spaceBefore=9, spaceAfter=4,
    keepWithNext=1,
)  # fmt: skip
TITLE = ParagraphStyle("title", BODY, fontName=BOLD, fontSize=15, leading=19)
INTENDED = ParagraphStyle("intended", BODY, fontSize=6.4, leading=8, textColor=MUTED)


class Leftward(Paragraph):
    """A paragraph whose lines run from right to left."""

    def drawPara(self, debug: int = 0) -> None:
        """Lines are broken, and divided over pages, as they are read; here they are turned."""
        as_read = self.blPara  # type: ignore[has-type]
        self.blPara = as_read.clone(
            lines=[
                (space, as_seen(" ".join(words), leftwards=True).split(" "))
                for space, words in as_read.lines
            ]
        )
        super().drawPara(debug)
        self.blPara = as_read


def inline(text: str) -> str:
    """``text`` as part of a line of ReportLab's markup."""
    return escape(as_seen(composed(printable(text, glyphs())).replace("\n", " ")))


def paragraphs(text: str, style: ParagraphStyle = BODY) -> list[Flowable]:
    """``text`` as typed, a paragraph for each of its lines."""
    found: list[Flowable] = []
    for line in composed(printable(text, glyphs())).split("\n"):
        if reads_leftwards(line):
            right = ParagraphStyle("right", style, alignment=TA_RIGHT)
            found.append(Leftward(escape(line), right))
        else:
            found.append(Paragraph(escape(as_seen(line)), style))
    return found


class NumberedCanvas(Canvas):
    """Knows at its end how many pages there are, and says so on each."""

    def save(self) -> None:
        """Draw the number where every page has left room for it."""
        self.beginForm(TOTAL)
        self.setFont(REGULAR, MUTED_SMALL.fontSize)
        self.setFillColor(MUTED)
        self.drawString(0, 0, str(self.getPageNumber() - 1))
        self.endForm()
        super().save()


class ReportDocument(BaseDocTemplate):
    """A4 with a head and a foot; headings go into the outline."""

    def __init__(self, target: Any, sheet: Sheet, made_at: datetime) -> None:
        glyphs()
        super().__init__(
            target,
            pagesize=A4,
            title=wording.FILE_TITLE.format(
                title=wording.TITLE, accession=sheet.accession, number=sheet.number
            ),
            author=as_seen(printable(sheet.laboratory, glyphs())),
            subject=f"{sheet.banner}. {RESEARCH_USE}",
            lang=wording.LANGUAGE,
            displayDocTitle=True,
            invariant=1,
        )
        self.sheet = sheet
        self.made_at = made_at
        frame = Frame(
            MARGIN, FOOT, WIDTH, A4[1] - HEAD - FOOT,
            leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0,
        )  # fmt: skip
        self.addPageTemplates([PageTemplate(frames=[frame], onPage=self.draw_frame)])

    def beforeDocument(self) -> None:
        """The file is as old as its last signature, so that it is the same whenever it is made."""
        self.canv.setDateFormatter(lambda *_: f"D:{self.made_at:%Y%m%d%H%M%S}Z")

    def afterFlowable(self, flowable: Flowable) -> None:
        """Enter a heading in the outline."""
        if isinstance(flowable, Paragraph) and flowable.style.name in (TITLE.name, HEADING.name):
            text = flowable.getPlainText()
            self.canv.bookmarkPage(text)
            self.canv.addOutlineEntry(text, text, level=int(flowable.style.name == HEADING.name))

    def draw_frame(self, canvas: Canvas, _: BaseDocTemplate) -> None:
        """What stands on every page."""
        canvas.saveState()
        top = A4[1] - 11 * mm
        canvas.setFont(BOLD, MUTED_SMALL.fontSize)
        canvas.setFillColor(STATES[self.sheet.state][0])
        canvas.drawString(MARGIN, top, self.sheet.banner)
        canvas.setFillColor(INK)
        canvas.drawRightString(MARGIN + WIDTH, top, RESEARCH_USE)
        if self.sheet.demonstration:
            canvas.drawCentredString(A4[0] / 2, top - 10, self.sheet.demonstration)
        canvas.setStrokeColor(LINE)
        canvas.line(MARGIN, top - 13, MARGIN + WIDTH, top - 13)
        foot = Paragraph(escape(INTENDED_USE), INTENDED)
        _, height = foot.wrap(WIDTH, FOOT)
        canvas.line(MARGIN, FOOT - 8, MARGIN + WIDTH, FOOT - 8)
        foot.drawOn(canvas, MARGIN, FOOT - 11 - height)
        self._draw_number(canvas, FOOT - 21 - height)
        canvas.restoreState()

    def _draw_number(self, canvas: Canvas, y: float) -> None:
        size = MUTED_SMALL.fontSize
        canvas.setFont(REGULAR, size)
        canvas.setFillColor(MUTED)
        sheet = self.sheet
        belongs_to = wording.BELONGS_TO.format(
            accession=sheet.accession, number=sheet.number, hash=sheet.sha256[:16]
        )
        canvas.drawString(MARGIN, y, belongs_to)
        text = wording.PAGE_OF.format(number=canvas.getPageNumber())
        x = MARGIN + WIDTH - stringWidth(f"{text}000", REGULAR, size)
        canvas.drawString(x, y, text)
        canvas.translate(x + stringWidth(text, REGULAR, size), y)
        canvas.doForm(TOTAL)
