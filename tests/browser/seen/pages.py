"""Every page of the portal that accessibility is tested on; a new page is one more line here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page in one state.

    Attributes:
        path: ``{specimen}``, ``{empty}``, ``{patient}``, ``{screened}``, ``{refused}``,
            ``{lone}`` and ``{demonstration}`` stand for the records of the ``records`` fixture.
        status: what the server answers.
        submit: press the button of the page's form, as it is, and look at what comes then.
        key: press it, and look at what comes then.
    """

    path: str
    status: int = 200
    submit: bool = False
    key: str = ""


SIGNED_OUT = (Page("/login"), Page("/login", submit=True), Page("/login?next=/patients/"))

SIGNED_IN = (
    Page("/"),
    Page("/?show=suspicious"),
    Page("/?search=nobody"),
    Page("/?priority=3&received_from=2026-02-02&received_to=2026-02-01"),
    Page("/diagnoses"),
    Page("/diagnoses?show=suspicious"),
    Page("/diagnoses?search=nobody"),
    Page("/patients/"),
    Page("/patients/?search=nobody"),
    Page("/password"),
    Page("/password", submit=True),
    Page("/patients/new"),
    Page("/patients/new", submit=True),
    Page("{patient}"),
    Page("{patient}/edit"),
    Page("{patient}/delete"),
    Page("{patient}/delete", submit=True, status=409),
    Page("{patient}/specimens/new"),
    Page("{patient}/specimens/new", submit=True),
    Page("{specimen}"),
    Page("{specimen}/report"),
    Page("{specimen}/sign"),
    Page("{specimen}/sign", submit=True),
    Page("{demonstration}"),
    Page("{empty}"),
    Page("{specimen}/edit"),
    Page("{specimen}/delete"),
    Page("{screened}"),
    Page("{screened}", key="?"),
    Page("{refused}"),
    Page("{lone}"),
    Page("{lone}/assign"),
    Page("{lone}/assign", submit=True),
    Page("/diagnoses/unassigned"),
    Page("/dashboard"),
    Page("/dashboard?days=365&inputs=accepted"),
    Page("/nothing", status=404),
)

# Error pages that nobody can ask for: their templates are put in the place of an answer.
ERRORS = ("400.html", "403.html", "403_csrf.html", "500.html", "registration/locked_out.html")
