"""A search compares folded words: the same on every database, and never too many of them."""

from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from pytest_django.asserts import assertContains
from rest_framework.test import APIClient

from patients import services
from patients.folding import FOLDED_LENGTH, folded
from patients.models import Patient, Specimen
from patients.selectors import patient_list, specimen_list, validate_search, words_of_specimen

pytestmark = pytest.mark.django_db
TOO_MANY = " ".join(f"w{number}" for number in range(13))
FOUND = [
    ("Jürgen MÜLLER", "müller"),
    ("Jürgen MÜLLER", "MU\u0308LLER muller"),
    ("Иванова Мария", "иванова"),
    ("Фёдоров", "ФЕДОРОВ"),
    ("Παπαδόπουλος", "ΠΑΠΑΔΟΠΟΥΛΟΣ"),
    ("Muñoz", "MUÑOZ munoz"),
    ("Nguyễn Thị Ánh", "nguyen ÁNH"),
    ("Đỗ Văn", "do"),
    ("Groß", "GROSS groß"),
    ("Işıl İnan", "isil INAN işıl"),
    ("علی کریمی", "علي كريمي"),
    ("مُحمد", "محمد"),
    ("می\u200cروم", "میروم"),
    ("ＴＡＮＡＫＡ", "tanaka"),
    ("Łukasz Ørsted", "lukasz orsted"),
    ("O’Brien", "o'brien"),
    ("ﬁnn", "FINN"),
    ("김철수", "김철수"),
]
# Letters that a collation of MySQL takes for one another, and Unicode does not.
NOT_FOUND = [("がの", "かの"), ("Anna", "Ann-a"), ("Иванова", "Nванова"), ("100%", "100_")]


@pytest.mark.parametrize(("name", "search"), FOUND)
def test_a_name_is_found_however_it_is_written(name: str, search: str) -> None:
    patient = Patient.objects.create(medical_record_number="M-1", name=name)
    specimen = Specimen.objects.create(patient=patient, accession_number="H26-7")
    assert list(patient_list(search=search)) == [patient]
    assert list(specimen_list(search=search)) == [specimen]
    found = Specimen.objects.filter(pk=specimen.pk)
    assert found.filter(words_of_specimen(search, "patient__specimens")).exists()


@pytest.mark.parametrize(("name", "search"), NOT_FOUND)
def test_other_letters_are_other_names(name: str, search: str) -> None:
    Patient.objects.create(medical_record_number="M-1", name=name)
    assert not patient_list(search=search).exists()


@pytest.mark.parametrize("search", ["m-1", "h26", "Ｈ２６", "anna m-1 h26-7", "٢٦"])
def test_numbers_are_found_in_any_case_and_digits(search: str) -> None:
    patient = Patient.objects.create(medical_record_number="M-1", name="Anna")
    Specimen.objects.create(patient=patient, accession_number="H26-7")
    assert list(patient_list(search=search)) == [patient]


def test_what_is_changed_is_found_by_what_it_is_now(patient: Patient) -> None:
    services.patient_update(actor=None, patient=patient, name="Ñandú, Zoë")
    assert list(patient_list(search="nandu zoe")) == [patient]
    assert not patient_list(search="haddad").exists()


def test_a_long_name_folds_to_what_an_index_holds() -> None:
    assert len(folded("\ufdfa" * 200)) == FOLDED_LENGTH
    Patient.objects.create(medical_record_number="M-1", name="\ufdfa" * 200)


def test_rows_of_before_are_filled(patient: Patient) -> None:
    Patient.objects.bulk_create(
        Patient(medical_record_number=f"P{number}", name=f"Ö{number}") for number in range(7)
    )
    with connection.cursor() as cursor:
        cursor.execute("UPDATE patients_patient SET searched = ''")
    migration = import_module("patients.migrations.0006_fill_patient_searched")
    migration.BATCH = 3
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert patient_list(search="o").count() == 7
    assert list(patient_list(search="leila mrn-1")) == [patient]


@pytest.mark.parametrize("search", [TOO_MANY, "x" * 201])
def test_too_much_is_refused(search: str) -> None:
    with pytest.raises(ValidationError, match="at most 12 words and 200 characters"):
        validate_search(search)


def test_the_same_word_many_times_is_one() -> None:
    validate_search("a A á " * 30)


@pytest.mark.parametrize("search", ["+".join(["a"] * 995), TOO_MANY.replace(" ", "+")])
def test_pages_say_how_much_they_search_for(
    patient: Patient, admin_client: Client, search: str
) -> None:
    sentence = "Search for at most 12 words and 200 characters."
    for address in ("/patients/?search=", "/diagnoses?search="):
        assertContains(admin_client.get(address + search), sentence)
    shown = admin_client.get("/?search=" + search)
    assertContains(shown, "field__error")
    for model in ("patient", "specimen"):
        answer = admin_client.get(f"/admin/patients/{model}/?q=" + search)
        assertContains(answer, sentence)
        assertContains(answer, f"0 {model}s")


def test_the_api_says_how_much_it_searches_for(api_of: Callable[..., APIClient]) -> None:
    client = api_of("view_patient", "view_specimen")
    for address in ("/api/patients", "/api/specimens"):
        answer = client.get(address, {"search": TOO_MANY})
        assert answer.status_code == 400
        assert "at most 12 words" in str(answer.json()["errors"]["search"])


def test_admin_searches_as_the_portal_does(admin_client: Client) -> None:
    patient = Patient.objects.create(medical_record_number="M-1", name="Jürgen Müller")
    Specimen.objects.create(patient=patient, accession_number="H26-7")
    for model in ("patient", "specimen"):
        for search in ("MULLER", "müller h26"):
            answer = admin_client.get(f"/admin/patients/{model}/", {"q": search})
            assertContains(answer, f"1 {model}")
