"""Wrong passwords at signing: pauses, with everything typed still there, and nobody signed out."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Signature
from patients.models import Specimen
from tests.diagnosis.portal import records
from tests.diagnosis.portal.cases.test_sign import CASE, PASSWORD, SIGN, seen
from webapp.accounts.models import WrongPasswords
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
TYPED = {"headline": "suspicious", "comment": "Blasts of fine chromatin.", "reason": "Auer."}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Time stands still; what is put into the list has passed."""
    start, passed = timezone.now(), [timedelta()]
    monkeypatch.setattr(
        "webapp.accounts.passwords.attempts.timezone.now", lambda: start + sum(passed, timedelta())
    )
    return passed


@pytest.fixture
def signer(clinician: User, client: Client, specimen: Specimen) -> Client:
    """Signed in by password, before a case that can be signed."""
    clinician.set_password(PASSWORD)
    clinician.save()
    field = records.screened(clinician, specimen)
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    assert client.post("/login", {"username": "clinician", "password": PASSWORD}).status_code == 302
    return client


def test_wrong_passwords_have_pauses_and_cost_neither_session_nor_text(
    signer: Client, now: list[timedelta]
) -> None:
    form = {**TYPED, "password": "guess", "seen": seen(signer)}
    answers = [signer.post(SIGN, form) for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 5
    right = signer.post(SIGN, {**form, "password": PASSWORD})
    assert right.status_code == 429, "a pause does not look at passwords"
    assert right["Retry-After"] == "5"
    for answer in (answers[-1], right):
        page = answer.content.decode()
        assert "Wait 5 seconds, then enter yours again; what you have written stays." in page
        assert TYPED["comment"] in page
        assert f'value="{TYPED["reason"]}"' in page
        assert 'value="suspicious"' in page.split("checked")[0][-200:]
        assert "guess" not in page
        assert PASSWORD not in page
    assert signer.get(CASE).status_code == 200, "signed in as before"
    assert not Signature.objects.exists()
    now.append(timedelta(seconds=5))
    assert signer.post(SIGN, {**form, "password": PASSWORD}).status_code == 302
    assert Signature.objects.count() == 1


def test_what_is_refused_is_on_record_and_the_pause_once(signer: Client) -> None:
    form = {**TYPED, "password": "guess", "seen": seen(signer)}
    for _ in range(12):
        signer.post(SIGN, form)
    assert AuditEvent.objects.filter(action="case.signature_refused").count() == 5
    assert AuditEvent.objects.filter(action="user.locked_out").count() == 1
    kept = str(list(WrongPasswords.objects.values()) + list(AuditEvent.objects.values("detail")))
    assert "Blasts" not in kept
    assert "guess" not in kept


def test_a_stranger_s_guesses_at_sign_in_do_not_touch_a_session_at_work(signer: Client) -> None:
    page = seen(signer)
    for n in range(60):
        stranger = {"username": "clinician", "password": f"guess {n}"}
        Client().post("/login", stranger, REMOTE_ADDR=f"198.51.100.{n % 3}")
        Client().post("/login", stranger)
    assert signer.post(SIGN, {**TYPED, "password": PASSWORD, "seen": page}).status_code == 302
    assert Signature.objects.count() == 1


def test_guesses_at_a_screen_left_alone_keep_the_user_from_nothing_elsewhere(
    signer: Client,
) -> None:
    form = {**TYPED, "password": "guess", "seen": seen(signer)}
    for _ in range(10):
        signer.post(SIGN, form)
    elsewhere = Client()
    sign_in = {"username": "clinician", "password": PASSWORD}
    assert elsewhere.post("/login", sign_in, REMOTE_ADDR="10.0.0.9").status_code == 302
    assert elsewhere.post(SIGN, {**form, "password": PASSWORD}).status_code == 302


def test_the_page_for_another_password_is_no_second_place_to_guess_at(signer: Client) -> None:
    form = {**TYPED, "password": "guess", "seen": seen(signer)}
    for _ in range(3):
        signer.post(SIGN, form)
    change = {"old_password": "guess", "new_password1": "x", "new_password2": "x"}
    assert signer.post("/password", change).status_code == 200
    assert signer.post("/password", change).status_code == 200
    refused = signer.post("/password", change)
    assert refused.status_code == 429
    assert refused["Retry-After"] == "5"
    assert signer.post(SIGN, form).status_code == 429
