"""Every page: what it shows, to whom, at what cost, and that reading leaves a trace."""

import hashlib

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from diagnosis.models import Diagnosis
from diagnosis.storage.media import media_path, media_read
from patients.models import Patient, Specimen
from tests.diagnosis.portal import records
from webapp.audit.models import AuditEvent

pytestmark = [pytest.mark.django_db, pytest.mark.any_database]


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, address
    return response.content.decode()


def reads() -> list[tuple[str, str, str]]:
    """Action, target and actor of every event that a page left, oldest first."""
    return [
        (event.action, event.target_id, str(event.actor))
        for event in AuditEvent.objects.order_by("id")
        if event.action.endswith(("viewed", "listed"))
    ]


@pytest.fixture
def diagnosis(clinician: User, specimen: Specimen) -> Diagnosis:
    return records.screened(clinician, specimen)


@pytest.mark.parametrize(
    "address",
    ["/", "/diagnoses", "/patients/1", "/specimens/H26-1", "/diagnoses/1", "/diagnoses/1/image",
     "/diagnoses/1/thumbnail", "/diagnoses/1/assign", "/diagnoses/unassigned"],
)  # fmt: skip
def test_strangers_sign_in_first_and_accounts_without_permission_see_nothing(
    client: Client, django_user_model: type[User], address: str
) -> None:
    assert client.get(address).headers["Location"].startswith("/login?next=")
    client.force_login(django_user_model.objects.create_user("nobody"))
    answer = client.get(address)
    assert answer.status_code == 403
    assert "Your account may not do this" in answer.content.decode()


def test_work_list_shows_one_row_a_field_with_what_the_reader_sorts_by(
    client_signed_in: Client, diagnosis: Diagnosis
) -> None:
    text = page(client_signed_in, "/diagnoses")
    for shown in ("H26-1", "Ada Example", "Suspicious", "Pre-B", "90.0\xa0%", "Passed", "v1"):
        assert shown in text
    assert f'href="/diagnoses/{diagnosis.pk}"' in text
    assert 'href="/specimens/H26-1"' in text


def test_work_list_filters_by_outcome_and_status(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    rows = {
        "suspicious": records.screened(clinician, specimen),
        "indeterminate": records.screened(clinician, specimen, outcome="indeterminate"),
        "not_suspicious": records.screened(clinician, specimen, outcome="not_suspicious"),
        "rejected": records.refused(clinician, specimen),
        "waiting": records.received(clinician, specimen),
        "failed": records.failed(clinician, specimen),
    }
    for shown, diagnosis in rows.items():
        context = client_signed_in.get("/diagnoses", {"show": shown}).context
        assert [row.pk for row in context["diagnoses"]] == [diagnosis.pk], shown
    assert len(
        client_signed_in.get("/diagnoses", {"show": "nonsense"}).context["diagnoses"]
    ) == len(rows)


@pytest.mark.parametrize(
    ("search", "found"), [("h26-1", 1), ("MRN-7", 1), ("ada", 1), ("H26-2", 0), ("", 2)]
)
def test_work_list_searches_accession_record_number_and_name(
    client_signed_in: Client, clinician: User, diagnosis: Diagnosis, search: str, found: int
) -> None:
    records.screened(clinician, None)
    assert len(client_signed_in.get("/diagnoses", {"search": search}).context["diagnoses"]) == found


def test_a_search_that_finds_too_much_shows_the_newest_specimens_and_says_so(
    client_signed_in: Client, clinician: User, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.fields.selectors.SPECIMENS_SEARCHED", 2)
    fields = []
    for number in (1, 2, 3):
        specimen = Specimen.objects.create(patient=patient, accession_number=f"T-{number}")
        fields.append(records.received(clinician, specimen).pk)
        answer = client_signed_in.get("/diagnoses", {"search": "t-"})
        found = [row.pk for row in answer.context["diagnoses"]]
        assert found == fields[::-1][:2]
        assert ("Many specimens match" in answer.content.decode()) == (number > 2)
    assert "Many specimens match" not in page(client_signed_in, "/diagnoses")


def test_unassigned_fields_are_paged_by_key(
    client_signed_in: Client, clinician: User, specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.portal.views.fields.PAGE_SIZE", 2)
    made = [records.received(clinician, None).pk for _ in range(3)]
    records.received(clinician, specimen)
    first = client_signed_in.get("/diagnoses/unassigned")
    assert [row.pk for row in first.context["diagnoses"]] == made[:0:-1]
    assert f'rel="next" href="?before={made[1]}"' in first.content.decode()
    last = client_signed_in.get("/diagnoses/unassigned", {"before": made[1]})
    assert [row.pk for row in last.context["diagnoses"]] == made[:1]
    assert 'rel="next"' not in last.content.decode()
    assert "Nothing older." in page(client_signed_in, f"/diagnoses/unassigned?before={made[0]}")


def test_work_list_pages_by_key_newest_first(
    client_signed_in: Client, clinician: User, specimen: Specimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("diagnosis.portal.views.fields.PAGE_SIZE", 2)
    made = [records.received(clinician, specimen).pk for _ in range(5)]
    first = client_signed_in.get("/diagnoses")
    assert [row.pk for row in first.context["diagnoses"]] == made[:2:-1]
    assert f'rel="next" href="?before={made[3]}"' in first.text
    assert 'rel="first"' not in first.text
    second = client_signed_in.get("/diagnoses", {"before": made[3]})
    assert [row.pk for row in second.context["diagnoses"]] == made[2:0:-1]
    assert f'rel="next" href="?before={made[1]}"' in second.text
    assert 'rel="first" href="?"' in second.text
    assert 'rel="next"' not in page(client_signed_in, f"/diagnoses?before={made[2]}")
    for nonsense in ("x", "-1", "9" * 40):
        assert client_signed_in.get("/diagnoses", {"before": nonsense}).status_code == 200


@pytest.mark.parametrize(
    "address",
    ["/diagnoses", "/patients/{patient}", "/specimens/H26-1", "/diagnoses/unassigned"],
)
def test_query_counts_do_not_grow_with_the_rows(
    client_signed_in: Client,
    clinician: User,
    specimen: Specimen,
    django_assert_max_num_queries: DjangoAssertNumQueries,
    address: str,
) -> None:
    address = address.format(patient=specimen.patient_id)
    for _ in range(12):
        records.screened(clinician, None if "unassigned" in address else specimen)
    with django_assert_max_num_queries(17):  # the session, the user and permissions take four
        text = page(client_signed_in, address)
    assert text.count("badge--suspicious") >= 12


def test_patient_page_shows_details_specimens_and_diagnoses(
    client_signed_in: Client, diagnosis: Diagnosis, patient: Patient
) -> None:
    text = page(client_signed_in, f"/patients/{patient.pk}")
    for shown in ("Ada Example", "MRN-7", "9 Mar 2017", "H26-1", "Wright-Giemsa", "Suspicious"):
        assert shown in text
    assert f'href="/diagnoses/{diagnosis.pk}"' in text
    assert f'href="/patients/{patient.pk}/specimens/new"' in text


def test_specimen_page_shows_its_fields_as_a_gallery_most_uncertain_first(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    refused, sure = records.refused(clinician, specimen), records.screened(clinician, specimen)
    unsure = records.screened(clinician, specimen, probabilities=(0.2, 0.2, 0.5, 0.1))
    agree = {"verdict": "agree"}
    client_signed_in.post(f"/diagnoses/{sure.pk}/review", agree)
    text = page(client_signed_in, "/specimens/h26-1")  # numbers know no case
    places = [text.index(f"/diagnoses/{row.pk}/thumbnail") for row in (unsure, sure, refused)]
    assert places == sorted(places)
    first, second, third = (
        text[start:end] for start, end in zip(places, [*places[1:], None], strict=True)
    )
    assert "Field 3" in first
    for figure in ("20.0\xa0%", "50.0\xa0%", "10.0\xa0%"):
        assert figure in first
    assert "Field 2" in second
    assert "Agreed: Pre-B" in second
    assert "Agreed" not in first
    assert "Field 1" in third
    assert "Colours of a stained smear: 0.12, needed at least 0.60" in third
    assert "badge--rejected" in third
    assert 'type="file" multiple' in text


def test_detail_page_walks_through_the_specimen(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    first, second, third = (records.screened(clinician, specimen) for _ in range(3))
    records.screened(clinician, None)
    middle = page(client_signed_in, f"/diagnoses/{second.pk}")
    assert "Field 2 of 3" in middle
    assert f'rel="prev" href="/diagnoses/{first.pk}"' in middle
    assert f'rel="next" href="/diagnoses/{third.pk}"' in middle
    assert 'rel="prev"' not in page(client_signed_in, f"/diagnoses/{first.pk}")
    assert 'rel="next"' not in page(client_signed_in, f"/diagnoses/{third.pk}")


def test_image_is_the_stored_bytes_kept_by_no_cache(
    client_signed_in: Client, diagnosis: Diagnosis
) -> None:
    answer = client_signed_in.get(f"/diagnoses/{diagnosis.pk}/image")
    assert answer.content == media_read(diagnosis.image_name, diagnosis.image_sha256)
    assert hashlib.sha256(answer.content).hexdigest() == diagnosis.image_sha256
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_thumbnail_is_a_small_jpeg_kept_by_no_cache(
    client_signed_in: Client, clinician: User, specimen: Specimen
) -> None:
    diagnosis = records.screened(clinician, specimen, upload=records.png(600, 800))
    answer = client_signed_in.get(f"/diagnoses/{diagnosis.pk}/thumbnail")
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert len(answer.content) < 40_000
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["Cache-Control"] == "private, no-store"


def test_missing_image_file_is_not_found(client_signed_in: Client, diagnosis: Diagnosis) -> None:
    media_path(diagnosis.image_name).unlink()
    assert client_signed_in.get(f"/diagnoses/{diagnosis.pk}/image").status_code == 404
    assert client_signed_in.get(f"/diagnoses/{diagnosis.pk}/thumbnail").status_code == 404


@pytest.mark.parametrize(
    "address", ["/patients/999", "/specimens/NONE", "/diagnoses/999", "/diagnoses/999/image"]
)
def test_unknown_records_are_not_found_and_leave_no_event(
    client_signed_in: Client, address: str
) -> None:
    before = AuditEvent.objects.count()  # of signing in
    assert client_signed_in.get(address).status_code == 404
    assert AuditEvent.objects.count() == before


def test_every_read_of_one_record_is_audited(
    client_signed_in: Client, diagnosis: Diagnosis, patient: Patient, specimen: Specimen
) -> None:
    pk = str(diagnosis.pk)
    for address in (
        f"/patients/{patient.pk}",
        "/specimens/H26-1",
        f"/diagnoses/{pk}",
        f"/diagnoses/{pk}/image",
        f"/diagnoses/{pk}/thumbnail",
    ):
        page_or_image = client_signed_in.get(address)
        assert page_or_image.status_code == 200
    assert reads() == [
        ("patient.viewed", str(patient.pk), "clinician"),
        ("specimen.viewed", str(specimen.pk), "clinician"),
        ("diagnosis.viewed", pk, "clinician"),
        ("diagnosis.image_viewed", pk, "clinician"),
        ("diagnosis.image_viewed", pk, "clinician"),
    ]


def test_a_page_of_the_work_list_is_one_event_with_the_rows_it_showed(
    client_signed_in: Client, diagnosis: Diagnosis
) -> None:
    page(client_signed_in, "/diagnoses")
    event = AuditEvent.objects.latest("id")
    assert [action for action, _, _ in reads()] == [event.action] == ["diagnosis.listed"]
    assert event.detail == {"ids": [diagnosis.pk]}


def test_readers_are_offered_nothing_they_may_not_do(
    reader: Client, clinician: User, specimen: Specimen
) -> None:
    lone = records.screened(clinician, None)
    assert 'type="file"' not in page(reader, "/specimens/H26-1")
    assert "Assign" not in page(reader, "/diagnoses/unassigned")
    assert "Assign" not in page(reader, f"/diagnoses/{lone.pk}")


@pytest.mark.parametrize("method", ["put", "delete", "patch"])
def test_pages_take_no_other_method(client_signed_in: Client, method: str) -> None:
    assert getattr(client_signed_in, method)("/").status_code == 405
