"""Concluding, signing and amending in the portal."""

import re

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from pytest_django import Settings

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, Diagnosis, Report, Signature
from patients.models import Specimen
from tests.diagnosis.portal import records
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]
PASSWORD = "a long pass phrase of a test"
SIGN, CASE = "/specimens/H26-1/sign", "/specimens/H26-1"


@pytest.fixture
def fields(clinician: User, specimen: Specimen) -> list[Diagnosis]:
    """Two read fields that the software calls Pre-B."""
    made = [records.screened(clinician, specimen) for _ in range(2)]
    for field in made:
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.AGREE)
    return made


@pytest.fixture
def signer(clinician: User, client: Client) -> Client:
    """The clinician's session, who has a password."""
    clinician.set_password(PASSWORD)
    clinician.first_name, clinician.last_name = "Lena", "Reader"
    clinician.save()
    client.force_login(clinician)
    return client


def seen(client: Client) -> str:
    found = re.search(r'name="seen" value="([0-9a-f]{64})"', client.get(SIGN).content.decode())
    assert found
    return found[1]


def sign(client: Client, **form: str) -> tuple[int, str]:
    """Status of the answer, and the page that is shown in the end."""
    form = {"headline": "suspicious", "password": PASSWORD, **form}
    answer = client.post(SIGN, {"seen": seen(client), **form})
    if answer.status_code == 302:
        return 302, client.get(answer.headers["Location"]).content.decode()
    return answer.status_code, answer.content.decode()


@pytest.mark.usefixtures("fields")
def test_a_read_case_is_signed_with_the_password(signer: Client) -> None:
    status, page = sign(signer, comment="Blasts with fine chromatin.")
    assert status == 302
    assert "The case is signed. Report 1 is kept." in page
    assert "Lena Reader" in page
    assert "Blasts with fine chromatin." in page
    assert "I have read every usable field of this case" in page
    assert "Conclude and sign" not in page
    assert Case.objects.get().status == "signed"


@pytest.mark.usefixtures("fields")
def test_a_wrong_password_signs_nothing_and_keeps_what_was_written(signer: Client) -> None:
    status, page = sign(signer, comment="Blasts.", password="guess")
    assert status == 200
    assert "This is not your password. Nothing is signed." in page
    assert "Blasts." in page
    assert "guess" not in page
    assert not Signature.objects.exists()
    assert AuditEvent.objects.filter(action="case.signature_refused").count() == 1


@pytest.mark.usefixtures("fields")
def test_another_person_s_password_is_no_signature(signer: Client) -> None:
    User.objects.create_user("other", password="other " + PASSWORD)
    assert sign(signer, password="other " + PASSWORD)[0] == 200
    assert not Signature.objects.exists()


@pytest.mark.usefixtures("fields")
@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"headline": ""}, "Choose what you conclude."),
        ({"password": ""}, "Enter your password"),
        ({"headline": "indeterminate"}, "give a reason"),
        ({"headline": "not_suspicious", "reason": "So."}, "With fewer than 5 usable fields"),
        ({"seen": "0" * 64}, "has changed meanwhile"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_signed(
    signer: Client, form: dict[str, str], sentence: str
) -> None:
    status, page = sign(signer, **form)
    assert status == 200
    assert sentence in page
    assert "Nothing is signed yet." in page
    assert not Signature.objects.exists()


def test_an_unread_field_stands_in_the_way(
    signer: Client, clinician: User, specimen: Specimen, fields: list[Diagnosis]
) -> None:
    records.screened(clinician, specimen)
    page = signer.get(CASE).content.decode()
    assert "1 screened field has not been read." in page
    assert "Conclude and sign" not in page
    answer = signer.get(SIGN, follow=True)
    assert "It cannot be signed now. 1 screened field has not been read." in answer.content.decode()
    assert signer.post(SIGN, {"headline": "suspicious", "password": PASSWORD}).status_code == 302
    assert not Signature.objects.exists()


@pytest.mark.usefixtures("fields")
def test_two_people_sign(signer: Client, client: Client, settings: Settings) -> None:
    settings.SIGNATURES_REQUIRED = 2
    _, page = sign(signer, comment="Blasts.")
    assert "Your signature is recorded; one of another person is needed." in page
    assert "<bdi>Lena Reader</bdi> has signed; another person’s signature is missing." in page
    assert "You have signed this" in sign(signer, comment="Blasts.")[1]
    second = User.objects.create_user("second", password=PASSWORD)
    second.groups.add(Group.objects.get(name="Haematologist"))
    other = Client()
    other.force_login(second)
    page = other.get(SIGN).content.decode()
    assert "Blasts." in page, "what the first signer wrote is offered"
    assert "I have checked the readings and the conclusion" in page
    assert sign(other, comment="Blasts.")[0] == 302
    assert Report.objects.get().signatures.count() == 2


@pytest.mark.usefixtures("fields")
def test_a_signed_case_is_amended_for_a_reason(signer: Client, fields: list[Diagnosis]) -> None:
    sign(signer)
    answer = signer.post(f"{CASE}/amend", {"reason": " "}, follow=True)
    assert "Give a reason" in answer.content.decode()
    refused = signer.post(
        f"/diagnoses/{fields[0].pk}/review", {"verdict": "agree"}, follow=True
    ).content.decode()
    assert "The case is signed: open an amendment first." in refused
    page = signer.post(f"{CASE}/amend", {"reason": "Blurred."}, follow=True).content.decode()
    assert (
        "<bdi>Lena Reader</bdi> has opened this case for an amendment: <bdi>Blurred.</bdi>" in page
    )
    assert sign(signer)[0] == 302
    assert Case.objects.get().status == "amended"
    assert Report.objects.count() == 2


@pytest.mark.usefixtures("fields")
def test_signing_and_amending_have_permissions_of_their_own(signer: Client) -> None:
    group = Group.objects.get(name="Haematologist")
    group.permissions.remove(
        *Permission.objects.filter(codename__in=["add_signature", "add_amendment"])
    )
    assert "Conclude and sign" not in signer.get(CASE).content.decode()
    assert signer.get(SIGN).status_code == 403
    assert signer.post(SIGN, {"headline": "suspicious", "password": PASSWORD}).status_code == 403
    assert signer.post(f"{CASE}/amend", {"reason": "x"}).status_code == 403
    assert not Signature.objects.exists()
