"""Blinded first read: nothing of the software's answer reaches a reader who has not read yet.

The pages are compared between two worlds that differ in that answer and in nothing else. A page
that is the same in both tells nothing, whatever it says.
"""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from diagnosis.cases.blinding import conceal
from diagnosis.cases.reading_order import fields_in_order, next_unread
from diagnosis.cases.services import CaseError, reading_create, review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, Diagnosis, ReadOnlyResultError, Review
from patients.models import Specimen
from tests.diagnosis.made.signing import second_clinician, sign
from tests.diagnosis.portal import records

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.any_database,
    pytest.mark.usefixtures("blinded"),
]
PRE_B, BENIGN = "Malignant Pre-B", "Benign"
UPLOADS = [records.png() for _ in range(4)]


@pytest.fixture
def other(django_user_model: type[User], db: None) -> User:
    """Another reader."""
    user = django_user_model.objects.create_user("other")
    user.groups.add(Group.objects.get(name="Haematologist"))
    return user


@dataclass(frozen=True)
class World:
    """What the software says of three fields: of two in a case, and of one without specimen."""

    outcomes: tuple[str, str, str]
    probabilities: tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]
    ood_score: float


ONE = World(
    ("suspicious", "indeterminate", "suspicious"),
    ((0.02, 0.03, 0.9, 0.05), (0.5, 0.3, 0.1, 0.1), (0.0, 0.0, 0.0, 1.0)),
    4.2,
)
OTHER = World(
    ("indeterminate", "not_suspicious", "not_suspicious"),
    ((0.4, 0.3, 0.2, 0.1), (0.96, 0.02, 0.01, 0.01), (0.91, 0.09, 0.0, 0.0)),
    1.7,
)


def build(world: World, actor: User, specimen: Specimen, other: User) -> list[Diagnosis]:
    """A case with two screened fields and a refused one, and a field without specimen.

    Another reader has agreed with the software on the first.
    """
    fields = [
        records.screened(
            actor,
            specimen if index < 2 else None,
            outcome=world.outcomes[index],
            probabilities=world.probabilities[index],
            ood_score=world.ood_score,
            upload=UPLOADS[index],
        )
        for index in range(3)
    ]
    fields.insert(2, records.refused(actor, specimen, upload=UPLOADS[3]))
    label = fields[0].predicted_class or ""
    reading_create(actor=other, diagnosis=fields[0], label=label)
    return fields


def pages(client: Client, fields: list[Diagnosis]) -> dict[str, str]:
    """Every page of the portal on these fields, without what differs at every call."""
    first, second, refused, lone = (f"/diagnoses/{field.pk}" for field in fields)
    found = {
        address: client.get(address).content.decode()
        for address in (
            "/", "/?show=suspicious", "/?show=not_suspicious", "/?show=waiting", "/?search=ada",
            "/diagnoses", "/diagnoses?show=suspicious", "/diagnoses?show=indeterminate",
            "/diagnoses?show=not_suspicious", f"/patients/{fields[0].specimen.patient_id}",  # type: ignore[union-attr]
            "/specimens/H26-1", first, second, refused, lone, "/diagnoses/unassigned",
            f"{lone}/assign", f"{first}/activation", "/patients/",
        )
    }  # fmt: skip
    again = {"fields": SimpleUploadedFile("field.png", UPLOADS[0], content_type="image/png")}
    found["upload"] = client.post("/specimens/H26-1", again).content.decode()
    found["agree"] = client.post("/specimens/H26-1/agree-with-all", follow=True).content.decode()
    answer = client.post(f"{first}/review", {"verdict": "agree"}, follow=True)
    found["review"] = answer.content.decode()
    return {_steady(address, fields): _steady(page, fields) for address, page in found.items()}


def _steady(text: str, fields: list[Diagnosis]) -> str:
    """``text`` without tokens and times, its fields numbered as in ``fields``."""
    for index, field in enumerate(fields):
        before = r'(/diagnoses/|[Ff]ield |accession_|class="mono">)'
        text = re.sub(rf"{before}{field.pk}\b", rf"\g<1>#{index}", text)
    text = re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", text)
    return re.sub(r"<time.*?</time>", "", text)


def compare(
    client: Client, actor: User, specimen: Specimen, other: User
) -> tuple[dict[str, str], dict[str, str]]:
    """The pages in both worlds."""
    for _ in range(10):  # no field's id is then the number of one in its case
        records.received(actor, None)
    found = []
    for world in (ONE, OTHER):
        with transaction.atomic():
            found.append(pages(client, build(world, actor, specimen, other)))
            transaction.set_rollback(True)
    return found[0], found[1]


def test_no_page_differs_by_what_the_software_says(
    client_signed_in: Client, clinician: User, specimen: Specimen, other: User
) -> None:
    one, another = compare(client_signed_in, clinician, specimen, other)
    assert one.keys() == another.keys()
    assert [address for address in one if one[address] != another[address]] == []
    for address, page in one.items():
        assert not re.search(r"(badge|verdict)--(not_)?suspicious|--indeterminate", page), address
        assert "90.0" not in page, address


def test_the_comparison_sees_the_answer_where_the_read_is_not_blinded(
    client_signed_in: Client,
    clinician: User,
    specimen: Specimen,
    other: User,
    settings: Settings,
) -> None:
    settings.BLINDED_FIRST_READ = False
    one, another = compare(client_signed_in, clinician, specimen, other)
    differ = {address for address in one if one[address] != another.get(address)}
    assert one.keys() - differ == {
        "/?show=not_suspicious",  # empty in both worlds
        "/?show=waiting",
        "/diagnoses/#3/assign",
        "/diagnoses/#0/activation",
        "/patients/",
    }


@pytest.fixture
def fields(clinician: User, specimen: Specimen) -> list[Diagnosis]:
    """Two fields that the software calls Pre-B; the second it doubts, and a refused one."""
    first = records.screened(clinician, specimen)
    second = records.screened(
        clinician, specimen, outcome="indeterminate", probabilities=(0.3, 0.1, 0.5, 0.1)
    )
    records.refused(clinician, specimen)
    return [first, second]


def commit(client: Client, diagnosis: Diagnosis, **form: str) -> str:
    """Where the answer leads."""
    answer = client.post(f"/diagnoses/{diagnosis.pk}/review", form)
    assert answer.status_code == 302
    return answer.headers["Location"]


def said(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_after_the_reading_the_answer_stands_beside_it(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    first, second = fields
    page = f"/diagnoses/{first.pk}"
    assert "Commit this reading" in said(client_signed_in, page)
    assert commit(client_signed_in, first, reading=BENIGN) == page
    review = Review.objects.get()
    assert (review.verdict, review.label, review.blinded) == ("override", BENIGN, True)
    shown = said(client_signed_in, page)
    for words in (
        "Read as Benign",
        "The software says <strong>Pre-B</strong>",
        "verdict--suspicious",
        "Model category",
        "Keep it, next field",
        f'href="/diagnoses/{second.pk}"',
    ):
        assert words in shown
    assert "Commit this reading" not in shown
    assert 'value="agree"' not in shown
    gallery = said(client_signed_in, "/specimens/H26-1")
    assert gallery.count("badge--suspicious") == 2  # the field, and the count above the gallery
    assert "badge--indeterminate" not in gallery
    assert "Case: Not read yet" in gallery
    assert "1 of 2 usable fields read by you" in gallery


def test_the_same_class_is_an_agreement_that_nobody_asked_for(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    commit(client_signed_in, fields[0], reading=PRE_B)
    review = Review.objects.get()
    assert (review.verdict, review.label, review.blinded) == ("agree", PRE_B, True)
    assert "The software says the same" in said(client_signed_in, f"/diagnoses/{fields[0].pk}")


def test_unusable_needs_no_reason_before_the_answer_is_shown(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    commit(client_signed_in, fields[0], reading="unusable")
    assert Review.objects.values_list("verdict", "label", "blinded").get() == ("unusable", "", True)


def test_a_change_of_mind_is_another_reading_with_its_reason(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    first, second = fields
    commit(client_signed_in, first, reading=BENIGN)
    assert commit(client_signed_in, first, reading=PRE_B) == f"/diagnoses/{first.pk}"
    assert "Give a reason for changing" in said(client_signed_in, f"/diagnoses/{first.pk}")
    assert Review.objects.count() == 1
    following = commit(client_signed_in, first, reading=PRE_B, reason="Coarser chromatin.")
    assert following == f"/diagnoses/{second.pk}"
    latest = Review.objects.latest("id")
    assert (latest.verdict, latest.label, latest.blinded, latest.reason) == (
        "agree", PRE_B, False, "Coarser chromatin.",
    )  # fmt: skip
    page = said(client_signed_in, f"/diagnoses/{first.pk}")
    assert page.index("Agreed: Pre-B") < page.index("Read as Benign")


def test_nobody_agrees_with_what_they_have_not_seen(
    client_signed_in: Client, clinician: User, fields: list[Diagnosis]
) -> None:
    first, _ = fields
    for form in (
        {"verdict": "agree"},
        {"verdict": "override", "label": BENIGN, "reason": "x"},
        {"verdict": "unusable", "reason": "x"},
        {"reading": "Normal"},
    ):
        commit(client_signed_in, first, **form)
    assert "Agree with the rest" not in said(client_signed_in, "/specimens/H26-1")
    page = client_signed_in.post("/specimens/H26-1/agree-with-all", follow=True).content.decode()
    assert "Read the fields one by one" in page
    with pytest.raises(CaseError) as refusal:
        review_create(actor=clinician, diagnosis=first, verdict=Verdict.AGREE)
    assert refusal.value.code == "read_first"
    assert not Review.objects.exists()


def test_another_s_reading_opens_no_eyes(
    client_signed_in: Client, clinician: User, fields: list[Diagnosis], other: User
) -> None:
    for field in fields:
        reading_create(actor=other, diagnosis=field, label=BENIGN)
    answer = client_signed_in.get(f"/diagnoses/{fields[0].pk}")
    page = answer.content.decode()
    assert answer.context["reviews"] == []
    assert "Read as Benign" not in page
    assert "Model category" not in page
    assert next_unread(fields[0].specimen_id or 0, clinician) == fields[0].pk
    client = Client()
    client.force_login(other)
    assert "Case: Suspicious" in said(client, "/specimens/H26-1")
    assert "badge--suspicious" in said(client, "/")


def test_case_and_work_list_say_it_when_the_last_field_is_read(
    client_signed_in: Client, clinician: User, specimen: Specimen, fields: list[Diagnosis]
) -> None:
    for field in fields:
        assert "badge--unread" in said(client_signed_in, "/")
        assert "Case: Not read yet" in said(client_signed_in, "/specimens/H26-1")
        commit(client_signed_in, field, reading=BENIGN)
    assert "Keep it, back to the case" in said(client_signed_in, f"/diagnoses/{fields[1].pk}")
    assert "badge--suspicious" in said(client_signed_in, "/")
    assert "Case: Suspicious" in said(client_signed_in, "/specimens/H26-1")
    # One more field, and the case is closed to this reader again.
    records.screened(clinician, specimen)
    assert "badge--suspicious" not in said(client_signed_in, "/")


def test_fields_are_in_order_of_arrival_until_all_are_read(
    client_signed_in: Client, clinician: User, specimen: Specimen, fields: list[Diagnosis]
) -> None:
    def order() -> list[int]:
        return [row.pk for row in fields_in_order(specimen.pk, clinician)]

    first, second = fields
    assert order()[:2] == [first.pk, second.pk]
    commit(client_signed_in, first, reading=BENIGN)
    assert order()[:2] == [first.pk, second.pk]
    commit(client_signed_in, second, reading=BENIGN)
    assert order()[:2] == [second.pk, first.pk]


def test_a_closed_case_keeps_nothing_back(
    client_signed_in: Client, fields: list[Diagnosis]
) -> None:
    assert "Model category" not in said(client_signed_in, f"/diagnoses/{fields[0].pk}")
    second = second_clinician()
    for field in fields:
        reading_create(actor=second, diagnosis=field, label="Malignant Pre-B")
    assert "Model category" not in said(client_signed_in, f"/diagnoses/{fields[0].pk}")
    assert sign(second, Case.objects.get())
    assert "Model category" in said(client_signed_in, f"/diagnoses/{fields[0].pk}")
    assert "badge--suspicious" in said(client_signed_in, "/?show=closed")


def test_report_and_signing_come_after_the_own_readings(
    client_signed_in: Client, clinician: User, fields: list[Diagnosis], other: User
) -> None:
    case = Case.objects.get()
    addresses = [f"/specimens/{case.specimen}/{page}" for page in ("report", "report.pdf", "sign")]
    for field in fields[:2]:  # another's readings do not count
        reading_create(actor=other, diagnosis=field, label=PRE_B)
    for address in addresses:
        answer = client_signed_in.get(address)
        assert answer.status_code == 302, address
        assert answer.headers["Location"] == f"/specimens/{case.specimen}"
    for field in Diagnosis.objects.filter(specimen=case.specimen, status="screened"):
        reading_create(actor=clinician, diagnosis=field, label=PRE_B)
    for address in addresses:
        assert client_signed_in.get(address).status_code == 200, address


def test_who_may_only_look_sees_no_answer(reader: Client, fields: list[Diagnosis]) -> None:
    page = said(reader, f"/diagnoses/{fields[0].pk}")
    assert "Model category" not in page
    assert "Commit this reading" not in page


def test_the_map_is_kept_back_too(client_signed_in: Client, fields: list[Diagnosis]) -> None:
    answer = client_signed_in.get(f"/diagnoses/{fields[0].pk}/activation")
    assert answer.status_code == 404
    assert "Your own reading comes first" in answer.content.decode()


def test_machines_get_the_answer(api: Any, fields: list[Diagnosis]) -> None:
    assert api.get(f"/api/diagnoses/{fields[0].pk}").json()["outcome"] == "suspicious"


def test_a_concealed_row_cannot_be_stored(clinician: User, fields: list[Diagnosis]) -> None:
    conceal(fields, clinician)
    assert fields[0].outcome is None
    with pytest.raises(ReadOnlyResultError):
        fields[0].save()
    fields[0].refresh_from_db()
    assert fields[0].outcome == "suspicious"
