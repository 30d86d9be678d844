"""The dashboard: who sees it, what it says, and that it names nobody."""

import re
from datetime import timedelta

import numpy as np
import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from diagnosis.core.drift import FEWEST, STATISTICS, Limits, Reference, quantiles, reference_path
from diagnosis.core.predictors.store import Live, live_path
from diagnosis.statistics.period import USUAL
from export.publishing.drift_reference import write_reference
from tests.diagnosis.statistics.laboratory import field, read, specimen
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
UNIFORM = np.linspace(0, 1, 101)


def page(client: Client, **query: str) -> str:
    answer = client.get("/dashboard", query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


@pytest.fixture
def watched(settings: Settings, digest: str) -> dict[str, str]:
    """Version 1 is live and its training fields are known; what makes a row that version's."""
    live_path(settings.MODEL_STORE, "all_smear").write_bytes(Live(1).to_json())
    reference = Reference(
        digest,
        500,
        25,
        dict.fromkeys(STATISTICS, quantiles(UNIFORM)),
        dict.fromkeys(STATISTICS, Limits(0.2, 0.4)),
        {"watch": 0.05, "drift": 0.01},
    )
    write_reference(reference, reference_path(settings.MODEL_STORE, "all_smear", 1))
    return {"model_digest": digest, "model_version": "1"}


def upload(rows: dict[str, str], shift: float, *, given: int | None = 0) -> None:
    """A full window whose every statistic is uniform, but for ``shift``."""
    for number in range(FEWEST):
        if number % 5 == 0:
            of = specimen()
        value = number / FEWEST + shift
        checks = [
            {"name": name, "score": value, "threshold": 0.1, "passed": given is not None}
            for name in STATISTICS
            if not name.startswith(("stain", "ood"))
        ]
        stain = {"stain_balance": value, "stain_strength": value}
        fields = {"ood_score": value} if given is not None else {}
        field(of, given=given, validation={"checks": checks, "stain": stain}, **fields, **rows)


@pytest.mark.parametrize("codename", ["view_diagnosis", "view_review"])
def test_both_permissions_are_needed(
    client: Client, django_user_model: type[User], codename: str
) -> None:
    user = django_user_model.objects.create_user("half")
    user.user_permissions.add(Permission.objects.get(codename=codename))
    client.force_login(user)
    assert client.get("/dashboard").status_code == 403
    assert 'href="/dashboard"' not in client.get("/diagnoses").content.decode()


def test_nobody_sees_it_without_signing_in(client: Client) -> None:
    assert client.get("/dashboard").status_code in (302, 403)


def test_reading_it_is_on_record(client_signed_in: Client, clinician: User) -> None:
    page(client_signed_in, days="7", inputs="accepted")
    event = AuditEvent.objects.get(action="dashboard.viewed")
    assert (event.actor, event.target_id) == (clinician, str(clinician.pk))
    assert event.detail == {"days": 7, "inputs": "accepted"}


def test_before_the_first_upload_it_says_what_will_be_here(client_signed_in: Client) -> None:
    html = page(client_signed_in)
    assert "Nothing to count yet." in html
    assert "<h2" not in html
    assert 'href="/dashboard" aria-current="page"' in html


def test_it_shows_the_figures_and_names_nobody(
    client_signed_in: Client, clinician: User, watched: dict[str, str]
) -> None:
    of = specimen(stain="giemsa", site="bone-marrow-aspirate")
    for given, label in ((0, 0), (0, 1), (1, 1), (1, 1)):
        read(field(of, given=given, **watched), clinician, label)
    field(of, given=None, **watched)
    html = page(client_signed_in)
    said = text(html)
    for words in (
        "Uploaded fields 5",
        "Refused 20.0 %",
        "κ 0.50 agreement, not accuracy",
        "No interval with fewer than 8 patients.",
        "Focus 1 (100.0 %)",
        "Bone marrow aspirate",
        "Giemsa",
        "Version 1",
        "4 fields, 1 patient",
        "Not judged yet: 5 images of 1 patients count, and 100 are needed.",
        "haematogones",
    ):
        assert words in said, words
    for nobody in (of.accession_number, of.patient.name, of.patient.medical_record_number):
        assert nobody not in html
    assert not re.search(r"\b(healthy|normal|accuracy of)\b", said, re.I)


@pytest.mark.parametrize(
    ("shift", "notice", "words"),
    [(0.0, "success", "No drift:"), (0.3, "warning", "Watch:"), (0.6, "error", "Drift:")],
)
def test_drift_is_said_and_drawn(
    client_signed_in: Client, watched: dict[str, str], shift: float, notice: str, words: str
) -> None:
    upload(watched, shift)
    html = page(client_signed_in)
    assert words in html
    assert f"notice--{notice}" in html
    assert html.count('class="pair"') == len(STATISTICS)
    assert f"distance {shift:.2f}" in html or shift == 0
    assert "100 images of 20 patients" in html


def test_accepted_images_are_judged_apart(
    client_signed_in: Client, watched: dict[str, str]
) -> None:
    upload(watched, 0.0)
    upload(watched, 0.9, given=None)
    assert "Drift:" in page(client_signed_in)
    assert "No drift:" in page(client_signed_in, inputs="accepted")


def test_without_a_live_version_or_reference_it_says_so(
    client_signed_in: Client, settings: Settings, watched: dict[str, str]
) -> None:
    field(specimen(), **watched)
    reference_path(settings.MODEL_STORE, "all_smear", 1).unlink()
    assert "python -m export reference 1" in page(client_signed_in)
    live_path(settings.MODEL_STORE, "all_smear").unlink()
    assert "No model version is live" in page(client_signed_in)


@pytest.mark.parametrize("days", ["", "0", "31", "x", "-7", "9" * 5000, "²"])
def test_a_period_that_is_none_is_the_usual(client_signed_in: Client, days: str) -> None:
    assert client_signed_in.get("/dashboard", {"days": days}).context["days"] == USUAL


def test_a_period_counts_its_own_days(client_signed_in: Client, watched: dict[str, str]) -> None:
    for days in (1, 20, 60, 200):
        field(specimen(), at=timezone.now() - timedelta(days=days), **watched)
    found = {
        days: client_signed_in.get("/dashboard", {"days": days}).context["counted"].fields
        for days in ("7", "30", "90", "365")
    }
    assert found == {"7": 1, "30": 2, "90": 3, "365": 4}


def test_every_picture_has_words(
    client_signed_in: Client, clinician: User, watched: dict[str, str]
) -> None:
    upload(watched, 0.0)
    html = page(client_signed_in)
    pictures = re.findall(r"<svg(?![^>]*aria-hidden)[^>]*>", html)
    assert len(pictures) > len(STATISTICS)
    for picture in pictures:
        assert 'role="img"' in picture
        assert re.search(r'aria-label="[^"]{4,}"', picture), picture
    assert " style=" not in html


def test_queries_do_not_grow_with_the_rows(
    client_signed_in: Client,
    clinician: User,
    watched: dict[str, str],
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    upload(watched, 0.0)
    with django_assert_max_num_queries(25):
        page(client_signed_in)
