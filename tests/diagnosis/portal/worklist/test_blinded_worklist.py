"""The work list under a blinded first read: in no order that the software has a hand in."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from diagnosis.cases.blinding import conceal
from diagnosis.cases.services import case_prioritise
from diagnosis.models import Case, Diagnosis, Priority
from patients.models import Patient, Specimen
from tests.diagnosis.portal import records

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("blinded")]


@pytest.fixture
def make_case(clinician: User) -> Callable[..., Case]:
    def make(name: str, **answer: Any) -> Case:
        patient = Patient.objects.create(medical_record_number=name, name=name)
        specimen = Specimen.objects.create(accession_number=name, patient=patient)
        records.screened(clinician, specimen, **answer)
        return Case.objects.get(specimen=specimen)

    return make


def rows(client: Client, **query: str) -> list[str]:
    page = client.get("/", query).context["page"]
    return [case.specimen.accession_number for case in page.cases]


def test_the_urgent_come_first_then_the_oldest_whatever_the_software_says(
    client_signed_in: Client,
    clinician: User,
    make_case: Callable[..., Case],
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
) -> None:
    settings.MIN_USABLE_FIELDS = 1
    calm = {"outcome": "not_suspicious", "probabilities": (0.97, 0.01, 0.01, 0.01)}
    make_case("A", **calm)
    make_case("B")
    make_case("C", **calm)
    urgent = make_case("D", **calm)
    case_prioritise(actor=clinician, case=urgent, priority=Priority.STAT)
    assert rows(client_signed_in) == ["D", "A", "B", "C"]
    assert rows(client_signed_in, show="suspicious") == ["D", "A", "B", "C"], "no such view"
    monkeypatch.setattr("diagnosis.portal.views.cases.PAGE_SIZE", 2)
    found, after = [], ""
    for _ in range(2):
        page = client_signed_in.get("/", {"after": after}).context["page"]
        found += [case.specimen.accession_number for case in page.cases]
        after = page.after
    assert (found, after) == (["D", "A", "B", "C"], "")
    settings.BLINDED_FIRST_READ = False
    monkeypatch.undo()
    assert rows(client_signed_in) == ["B", "D", "A", "C"]


def test_pages_cost_the_same_however_many_rows(
    client_signed_in: Client,
    make_case: Callable[..., Case],
    clinician: User,
    specimen: Specimen,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    records.refused(clinician, specimen)
    for number in range(6):
        make_case(f"W-{number}")
        records.screened(clinician, specimen)
    with django_assert_max_num_queries(11):
        assert len(rows(client_signed_in)) == 7
    with django_assert_max_num_queries(23):
        assert client_signed_in.get("/specimens/H26-1").status_code == 200
    shown = list(Diagnosis.objects.all())
    with django_assert_num_queries(1):
        conceal(shown, clinician)
