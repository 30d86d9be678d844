"""Every address of the site, walked by every role with every method that it takes."""

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from diagnosis.cases.services import review_create
from diagnosis.cases.withdrawals import field_withdraw
from diagnosis.core.state import Verdict
from diagnosis.fields.queue import screen_waiting
from diagnosis.models import (
    Amendment,
    Conclusion,
    CorrectedCase,
    Diagnosis,
    IdentityCorrection,
    SavedView,
    Signature,
)
from diagnosis.roles import ADMINISTRATOR, AUDITOR, HAEMATOLOGIST, TECHNICIAN
from diagnosis.signing.services import case_amend
from patients.models import Patient, Specimen
from patients.services import specimen_update
from tests.diagnosis.made.signing import sign
from tests.diagnosis.portal import records
from tests.webapp.api.role_table import table
from webapp.accounts.tokens import token_make
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES = {"T": TECHNICIAN, "H": HAEMATOLOGIST, "A": ADMINISTRATOR, "U": AUDITOR, "N": None}
STAFF = "AU"
CATCH_ALL = "admin/<url>"
AUTOCOMPLETE = "admin/autocomplete/"
PROBES = ("healthz", "readyz", "metrics")


@cache
def routes() -> dict[str, str]:
    """Every address as ``role_table`` writes it, with the pattern as Django has it."""

    def walk(resolver: URLResolver, before: str) -> Iterator[str]:
        for entry in resolver.url_patterns:
            pattern = before + str(entry.pattern)
            if isinstance(entry, URLPattern):
                yield pattern
            else:
                yield from walk(entry, pattern)

    return {written(pattern): pattern for pattern in walk(get_resolver(), "")}


def written(pattern: str) -> str:
    """``pattern`` without what marks a regular expression's ends, admin's own shortened."""
    text = pattern.replace("^", "", 1).removesuffix("$") if "^" in pattern else pattern
    if text.startswith("admin/(?P<app_label>"):
        return "admin/<app_label>/"
    return CATCH_ALL if text.startswith("admin/(?P<url>") else text


class Site:
    """One of everything, and the accounts of all roles."""

    def __init__(self) -> None:
        self.accounts = {role: self._account(role, name) for role, name in ROLES.items()}
        self.root = User.objects.create_superuser("root")
        reader = self.accounts["H"]
        self.patient = Patient.objects.create(medical_record_number="M-1", name="Ada Example")
        self.specimen = Specimen.objects.create(patient=self.patient, accession_number="H26-1")
        self.field = records.screened(reader, self.specimen)
        self.refused = records.refused(reader, self.specimen)
        self.unassigned = records.screened(reader, None)
        self.review = review_create(actor=reader, diagnosis=self.field, verdict=Verdict.AGREE)
        amendment = self._amended_case(reader)
        withdrawn = records.screened(reader, self.specimen)
        withdrawal = field_withdraw(actor=reader, diagnosis=withdrawn, reason="Of another.")
        specimen_update(
            actor=reader,
            specimen=amendment.report.case.specimen,
            stain="giemsa",
            reason="The label was read wrongly.",
        )
        group, subject = Group.objects.create(name="Others"), User.objects.create_user("subject")
        screen_waiting.enqueue()
        from django_tasks_db.models import DBTaskResult

        self.rows: dict[str, Any] = {
            "auth/group": group,
            "auth/user": subject,
            "django_tasks_database/dbtaskresult": DBTaskResult.objects.get(),
            "audit/auditevent": AuditEvent.objects.first(),
            "patients/patient": self.patient,
            "patients/specimen": self.specimen,
            "diagnosis/diagnosis": self.field,
            "diagnosis/case": self.specimen.case,
            "diagnosis/review": self.review,
            "diagnosis/conclusion": Conclusion.objects.get(),
            "diagnosis/signature": Signature.objects.get(),
            "diagnosis/report": amendment.report,
            "diagnosis/amendment": amendment,
            "diagnosis/withdrawal": withdrawal,
            "diagnosis/identitycorrection": IdentityCorrection.objects.get(),
            "diagnosis/correctedcase": CorrectedCase.objects.get(),
        }
        self.cookies = {who: self._session(user) for who, user in self.accounts.items()}
        self.tokens = {who: token_make(user, actor=None) for who, user in self.users()}
        self.views = {who: self._view(user) for who, user in self.users()}
        self.cookies["root"] = self._session(self.root)

    def _view(self, user: User) -> int:
        """Nobody sees another's."""
        return SavedView.objects.create(user=user, name="Urgent", query="priority=2").pk

    def _amended_case(self, reader: User) -> Amendment:
        """Of another specimen: signed, and open for an amendment."""
        specimen = Specimen.objects.create(patient=self.patient, accession_number="H26-2")
        field = records.screened(reader, specimen)
        review_create(actor=reader, diagnosis=field, verdict=Verdict.AGREE)
        sign(reader, specimen.case)
        return case_amend(actor=reader, case=specimen.case, reason="Incomplete.")

    def users(self) -> list[tuple[str, User]]:
        return [*self.accounts.items(), ("root", self.root)]

    def _account(self, role: str, group: str | None) -> User:
        user = User.objects.create_user(f"user-{role}", is_staff=role in STAFF)
        if group:
            user.groups.add(Group.objects.get(name=group))
        return user

    def _session(self, user: User) -> str:
        client = Client()
        client.force_login(user)
        return client.cookies["sessionid"].value

    def address(self, route: str, who: str = "root") -> str:
        """A real address of ``route``."""
        if route == CATCH_ALL:
            return "/admin/nothing/is/here"
        if route == AUTOCOMPLETE:
            return f"/{route}?app_label=patients&model_name=specimen&field_name=patient"
        parts = route.split("/")
        row = self.rows.get("/".join(parts[1:3]))
        # Of them the reader has read none, so a technician may withdraw it as well.
        unassigned = route in (
            "diagnoses/<int:pk>/assign",
            "diagnoses/<int:pk>/withdraw",
            "api/diagnoses/<int:pk>/withdraw",
        )
        field = self.unassigned if unassigned else self.field
        values = {
            "accession": self.specimen.accession_number,
            "pk": self._row(route, who, field),
            "object_id": self.patient.pk if row is None else row.pk,
            "id": self.rows["auth/user"].pk,
            "content_type_id": ContentType.objects.get_for_model(Patient).pk,
            "app_label": "patients",
        }
        named = re.sub(r"\(\?P(<\w+>)(?:\[[^]]*\]|[^)])*\)", r"\1", route)
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda match: str(values[match[1]]), named)

    def _row(self, route: str, who: str, field: Diagnosis) -> int:
        if route.startswith("views/"):
            return self.views.get(who, 0)
        return self.patient.pk if "patients" in route else field.pk

    def send(self, who: str, method: str, route: str) -> HttpResponse:
        """Ask as ``who``: the API by token, everything else by session. Nothing of it stays."""
        client, headers = Client(), {}
        if route.startswith("api/"):
            if who in self.tokens:
                headers["Authorization"] = f"Token {self.tokens[who]}"
        elif who in self.cookies:
            client.cookies["sessionid"] = self.cookies[who]
        body = {"content_type": "application/json"} if method in ("PUT", "PATCH") else {}
        with transaction.atomic():
            response = getattr(client, method.lower())(
                self.address(route, who), headers=headers, **body
            )
            transaction.set_rollback(True)
        return response


def methods_of(route: str) -> tuple[str, ...]:
    """The methods worth trying: the probes take each for GET, Django admin each but POST."""
    if route in PROBES:
        return METHODS[:1]
    return METHODS[:2] if route.startswith("admin/") else METHODS


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """No model is loaded here, so the map is none."""
    monkeypatch.setattr("diagnosis.portal.views.fields.activation_map", lambda diagnosis: b"map")
    return Site()


def is_refusal(response: HttpResponse) -> bool:
    """401, 403, or off to one of the sign-in pages."""
    to_sign_in = re.match(r"/(admin/)?login/?\?next=", response.headers.get("Location", ""))
    return response.status_code in (401, 403) or bool(to_sign_in)


def refusal(who: str, route: str) -> int:
    """The status with which ``who`` is refused ``route``."""
    if route.startswith("api/"):
        return 401 if who == "-" else 403
    if route.startswith("admin/") and who not in STAFF:
        return 302
    return 302 if who == "-" else 403


def test_every_address_with_every_method_stands_in_the_table(site: Site) -> None:
    stated, taken = table(), set()
    for route in routes():
        for method in methods_of(route):
            if site.send("root", method, route).status_code != 405:
                taken.add((method, route))
    missing = [f"{method} /{route}" for method, route in sorted(taken - stated.keys())]
    assert not missing, f"Say in tests/webapp/api/role_table.py who may do: {', '.join(missing)}."
    gone = [f"{method} /{route}" for method, route in sorted(stated.keys() - taken)]
    assert not gone, (
        f"Take out of tests/webapp/api/role_table.py, nothing takes it: {', '.join(gone)}."
    )


REFUSAL_ON_RECORD = re.compile(r"INSERT INTO .audit_auditevent.")


@pytest.mark.parametrize("who", [*ROLES, "-"])
def test_each_role_may_exactly_what_the_table_says(site: Site, who: str) -> None:
    written: list[str] = []

    def watch(execute: Any, sql: str, *rest: Any) -> Any:
        if re.match(r"\s*(INSERT|UPDATE|DELETE|REPLACE)", sql):
            written.append(sql[:90])
        return execute(sql, *rest)

    wrong = []
    for (method, route), allowed in table().items():
        written.clear()
        with connection.execute_wrapper(watch):
            response = site.send(who, method, route)
        status = response.status_code
        if who not in allowed:
            if status != refusal(who, route) or not is_refusal(response):
                wrong.append(f"{method} /{route} is not refused: {status}")
            if others := [sql for sql in written if not REFUSAL_ON_RECORD.match(sql)]:
                wrong.append(f"{method} /{route} is refused and writes: {others[0]}")
        elif is_refusal(response):
            wrong.append(f"{method} /{route} is refused: {status}")
        elif status == 500 or (status == 404 and route != CATCH_ALL):
            wrong.append(f"{method} /{route} was not tried in earnest: {status}")
    assert not wrong, "\n".join(wrong)


class _Offers(HTMLParser):
    """Collects what a page lets its reader do, as method and address."""

    def __init__(self, page: HttpResponse, address: str) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()
        self.address = address
        self.feed(page.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        shown = values.get({"a": "href", "img": "src"}.get(tag, ""))
        if shown:
            self.found.add(("GET", shown))
        elif tag == "form" and values.get("method") != "dialog":
            address = values.get("action") or self.address
            self.found.add(((values.get("method") or "get").upper(), address))


@pytest.mark.parametrize("who", [*ROLES])
def test_no_page_offers_what_its_reader_may_not_do(site: Site, who: str) -> None:
    stated, wrong, seen = table(), [], 0
    for (method, route), allowed in stated.items():
        if method != "GET" or who not in allowed or route.startswith(("admin/", "api/", "login")):
            continue
        page = site.send(who, "GET", route)
        if not page.headers.get("Content-Type", "").startswith("text/html"):
            continue
        address = site.address(route)
        for doing, target in _Offers(page, address).found:
            path = re.split(r"[?#]", target)[0] or address
            if path.startswith("/static/") or target.startswith("#"):
                continue
            seen += 1
            offered = written(resolve(path).route)
            if who not in stated[doing, offered]:
                wrong.append(f"{address} offers {doing} {path}")
    assert not wrong, "\n".join(wrong)
    assert seen or who == "N", "no page was looked at"
