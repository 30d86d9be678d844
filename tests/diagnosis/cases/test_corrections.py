"""Who a signed case is about changes by amendment alone, and both patients' records say so."""

import json
import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import DatabaseError, connection, transaction

from diagnosis.cases.corrections import corrections_of_patient, corrections_of_specimen
from diagnosis.models import Amendment, Case, CorrectedCase, IdentityCorrection, Report
from diagnosis.models.correction import STATED
from diagnosis.reports.content.snapshot import content_sha256
from diagnosis.reports.content.view import sheet
from diagnosis.signing import services as signoff
from patients.covering import ChangeRefusedError
from patients.models import Patient, Specimen
from patients.services import DeletionRefusedError, patient_delete, patient_update, specimen_update
from tests.diagnosis.made.pictures import FakePredictor
from tests.diagnosis.made.signing import add_fields, read_case, sign
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
REASON = "Two tubes were swapped at the bedside."


@pytest.fixture
def case(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Case:
    """S-1 of Ada Example, signed."""
    case = read_case(clinician, specimen)
    sign(clinician, case)
    return Case.objects.get()


@pytest.fixture
def other(db: None) -> Patient:
    return Patient.objects.create(medical_record_number="MRN-2", name="Berta Other")


@pytest.fixture
def technician(django_user_model: type[User], db: None) -> User:
    user = django_user_model.objects.create_user("technician")
    user.groups.add(Group.objects.get(name="Technician"))
    return user


def stored() -> list[object]:
    models = (Patient, Specimen, Case, Amendment, IdentityCorrection, CorrectedCase)
    return [list(model.objects.order_by("pk").values()) for model in models]


CHANGES = [
    {"accession_number": "S-9"},
    {"stain": "giemsa"},
    {"site": "peripheral-blood"},
    {"objective": "100x"},
    {"collected_at": "2026-01-01T10:00:00Z"},
    {"received_at": "2026-01-01T10:00:00Z"},
]
OF_PATIENT = [
    {"name": "Ada Corrected"},
    {"medical_record_number": "MRN-9"},
    {"date_of_birth": "1980-02-03"},
    {"sex": "female"},
]


@pytest.mark.parametrize("who", ["technician", "nobody"])
def test_who_may_not_amend_changes_nothing_of_a_signed_case(
    case: Case, other: Patient, technician: User, who: str
) -> None:
    actor, before = technician if who == "technician" else None, stored()
    specimen = case.specimen
    for changes in ({"patient": other}, *CHANGES):
        with pytest.raises(ChangeRefusedError, match="by amendment alone") as refused:
            specimen_update(actor=actor, specimen=specimen, reason=REASON, **changes)
        assert refused.value.code == "signed"
    for changes in OF_PATIENT:
        with pytest.raises(ChangeRefusedError, match="by amendment alone"):
            patient_update(actor=actor, patient=specimen.patient, reason=REASON, **changes)
    assert stored() == before


def test_a_correction_needs_a_reason(case: Case, clinician: User, other: Patient) -> None:
    before = stored()
    for reason in ("", "   "):
        with pytest.raises(ChangeRefusedError, match="give the reason") as refused:
            specimen_update(actor=clinician, specimen=case.specimen, patient=other, reason=reason)
        assert refused.value.code == "reason_missing"
    assert stored() == before


def test_a_specimen_of_a_signed_case_moves_by_amendment(
    case: Case, clinician: User, other: Patient
) -> None:
    specimen, ada = case.specimen, case.specimen.patient
    specimen_update(actor=clinician, specimen=specimen, patient=other, reason=f" {REASON} ")
    case.refresh_from_db()
    assert (case.status, case.closed) == ("signed", 0)
    amendment = Amendment.objects.get()
    assert (amendment.kind, amendment.reason, amendment.author) == ("identity", REASON, clinician)
    for patient in (ada, other):
        (correction,) = corrections_of_patient(patient)
        assert (correction.patient, correction.to_patient) == (ada, other)
        assert correction.specimen == specimen
        assert (correction.author, correction.reason) == (clinician, REASON)
    assert list(corrections_of_specimen(specimen)) == [correction]
    assert correction.changes == [
        {
            "field": "patient",
            "from": {"name": "Ada Example", "medical_record_number": "MRN-1"},
            "to": {"name": "Berta Other", "medical_record_number": "MRN-2"},
        }
    ]
    actions = set(AuditEvent.objects.filter(actor=clinician).values_list("action", flat=True))
    assert {"case.amendment_opened", "case.identity_corrected", "specimen.updated"} <= actions


def test_the_next_report_is_amended_and_says_from_what_to_what(
    case: Case, clinician: User, other: Patient
) -> None:
    first = Report.objects.get()
    specimen_update(
        actor=clinician,
        specimen=case.specimen,
        patient=other,
        accession_number="S-9",
        received_at="2026-03-04T05:06:00Z",
        reason=REASON,
    )
    second = sign(clinician, case)
    assert second
    content = json.loads(second.content)
    assert content["patient"]["name"] == "Berta Other"
    printed = sheet(content, list(second.signatures), preliminary=False)
    assert printed.state == "amended"
    notes = re.sub("[\u2068\u2069]", "", "\n".join(line.text for line in printed.notes))
    assert "Patient: Ada Example (MRN-1), corrected to Berta Other (MRN-2)" in notes
    assert "Accession number: S-1, corrected to S-9" in notes
    assert "Received: not stated, corrected to 4 Mar 2026" in notes
    assert notes.count(REASON) == 1
    first.refresh_from_db()
    assert json.loads(first.content)["patient"]["name"] == "Ada Example"
    assert content_sha256(json.loads(first.content)) == first.content_sha256
    case.refresh_from_db()
    assert (case.status, case.closed) == ("amended", 1)


def test_a_report_after_the_next_says_nothing_of_the_correction(
    case: Case, clinician: User, other: Patient
) -> None:
    specimen_update(actor=clinician, specimen=case.specimen, patient=other, reason=REASON)
    sign(clinician, case)
    signoff.case_amend(actor=clinician, case=case, reason="A comment was missing.")
    third = sign(clinician, case, comment="Blasts.")
    assert third
    assert "corrections" not in json.loads(third.content)["report"]["amends"]


def test_correcting_a_patient_opens_every_signed_case(
    case: Case, clinician: User, other_specimen: Specimen, technician: User
) -> None:
    second = read_case(clinician, other_specimen)
    sign(clinician, second)
    third = Specimen.objects.create(accession_number="S-3", patient=case.specimen.patient)
    unsigned = add_fields(clinician, third, 1)
    patient_update(
        actor=clinician,
        patient=case.specimen.patient,
        name="Ada Corrected",
        date_of_birth="1980-02-03",
        reason=REASON,
    )
    found = Case.objects.order_by("pk").values_list("status", "closed")
    assert list(found) == [("signed", 0), ("signed", 0), ("new", 0)]
    (correction,) = IdentityCorrection.objects.all()
    assert {change["field"]: change["to"] for change in correction.changes} == {
        "name": "Ada Corrected",
        "date_of_birth": "1980-02-03",
    }
    assert {row.amendment.report.case_id for row in CorrectedCase.objects.all()} == {
        case.pk,
        second.pk,
    }
    assert list(corrections_of_specimen(case.specimen)) == [correction]
    assert list(corrections_of_specimen(unsigned.specimen)) == []
    unsigned.refresh_from_db()
    assert unsigned.status == "new"


def test_a_correction_joins_an_amendment_that_is_open(
    case: Case, clinician: User, technician: User
) -> None:
    signoff.case_amend(actor=clinician, case=case, reason="A comment was missing.")
    with pytest.raises(ChangeRefusedError):
        specimen_update(actor=technician, specimen=case.specimen, stain="giemsa", reason=REASON)
    specimen_update(actor=clinician, specimen=case.specimen, stain="giemsa", reason=REASON)
    assert Amendment.objects.get().kind == "content"
    second = sign(clinician, case)
    assert second
    printed = sheet(json.loads(second.content), list(second.signatures), preliminary=False)
    texts = [line.text for line in printed.notes]
    assert "Stain: Not stated, corrected to Giemsa" in texts
    assert {"A comment was missing.", REASON} <= set(texts)


def test_what_is_not_signed_changes_as_before(
    clinician: User, specimen: Specimen, predictor: FakePredictor, technician: User, other: Patient
) -> None:
    read_case(clinician, specimen)
    specimen_update(actor=technician, specimen=specimen, accession_number="S-9")
    patient_update(actor=technician, patient=specimen.patient, name="Ada Corrected")
    assert not IdentityCorrection.objects.exists()
    ada = Specimen.objects.get().patient
    specimen_update(actor=technician, specimen=Specimen.objects.get(), patient=other)
    (moved,) = corrections_of_patient(ada)
    assert list(corrections_of_patient(other)) == [moved]
    assert (moved.author, moved.reason, moved.cases.count()) == (technician, "", 0)


def test_a_specimen_without_fields_leaves_no_trace(
    clinician: User, specimen: Specimen, other: Patient
) -> None:
    ada = specimen.patient
    specimen_update(actor=clinician, specimen=specimen, patient=other)
    assert not IdentityCorrection.objects.exists()
    patient_delete(actor=clinician, patient=ada)


def test_the_patient_that_a_specimen_came_from_is_kept(
    case: Case, clinician: User, other: Patient
) -> None:
    ada = case.specimen.patient
    specimen_update(actor=clinician, specimen=case.specimen, patient=other, reason=REASON)
    with pytest.raises(DeletionRefusedError, match="before it was moved"), transaction.atomic():
        patient_delete(actor=clinician, patient=ada)


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


SQL = {
    "patient_id": "(SELECT MAX(p.id) FROM (SELECT id FROM patients_patient) p)",
    "accession_number": "'S-9'",
    "site": "'peripheral-blood'",
    "stain": "'giemsa'",
    "objective": "'100x'",
    "collected_at": "'2026-01-01 10:00:00'",
    "received_at": "'2026-01-01 10:00:00'",
}
PATIENT_SQL = {
    "medical_record_number": "'MRN-9'",
    "name": "'Another'",
    "date_of_birth": "'1980-02-03'",
    "sex": "'female'",
    "is_demonstration": "1",
}
STATEMENTS = [
    *(f"UPDATE patients_specimen SET {name} = {value}" for name, value in SQL.items()),
    *(
        f"UPDATE patients_patient SET {name} = {value} WHERE medical_record_number = 'MRN-1'"
        for name, value in PATIENT_SQL.items()
    ),
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_database_refuses_what_a_signature_covers(
    case: Case, other: Patient, statement: str
) -> None:
    before = stored()
    with pytest.raises(DatabaseError, match=r"is history.*signed"):
        execute(statement)
    assert stored() == before


@pytest.mark.parametrize("statement", STATEMENTS)
def test_the_database_lets_an_open_case_be_corrected(
    case: Case, other: Patient, clinician: User, statement: str
) -> None:
    before = stored()
    signoff.case_amend(actor=clinician, case=case, reason="A comment was missing.")
    execute(statement)
    assert stored()[:2] != before[:2]


def test_every_field_that_is_stated_is_tried() -> None:
    tried = {name.removesuffix("_id") for name in SQL}
    assert tried == set(STATED[Specimen])
    assert set(PATIENT_SQL) == set(STATED[Patient])


@pytest.mark.parametrize("table", ["patients_specimen", "patients_patient"])
def test_the_database_deletes_nobody_who_has_fields(case: Case, table: str) -> None:
    with pytest.raises(DatabaseError):
        execute(f"DELETE FROM {table}")
    assert Specimen.objects.exists()


def test_the_orm_moves_no_signed_specimen(case: Case, other: Patient) -> None:
    with pytest.raises(DatabaseError, match="is history"), transaction.atomic():
        Specimen.objects.update(patient=other)
    with pytest.raises(DatabaseError, match="is history"), transaction.atomic():
        Patient.objects.filter(pk=case.specimen.patient_id).update(name="Another")
