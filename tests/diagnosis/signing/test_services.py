"""Signing: what has to be done before, what a signature holds for, what comes after it."""

import hashlib
import json

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from diagnosis.cases.services import (
    CaseError,
    agree_with_all,
    case_refresh,
    reading_create,
    review_create,
)
from diagnosis.core.state import CaseStatus, Verdict
from diagnosis.models import Amendment, Case, Conclusion, Diagnosis, Report, Signature
from diagnosis.signing import services as signoff
from diagnosis.signing.blockers import signing_blockers
from diagnosis.storage.media import media_files, media_read
from patients.models import Patient, Specimen
from patients.services import patient_update
from tests.diagnosis.killed.steps import create_field, make_due, run_field
from tests.diagnosis.made.pictures import BENIGN, FakePredictor, document_jpeg, smear_jpeg
from tests.diagnosis.made.signing import add_fields, read_case, second_clinician, seen, sign
from webapp.audit.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(clinician: User, specimen: Specimen, predictor: FakePredictor) -> Case:
    """Two suspicious fields, both read."""
    return read_case(clinician, specimen)


def nothing_signed() -> bool:
    return not any(
        model.objects.exists() for model in (Conclusion, Signature, Report, Amendment)
    ) and not [name for name, _ in media_files(older_than_s=0) if name.startswith("reports/")]


def refusal(actor: User, case: Case, headline: str = "suspicious", **said: str) -> str:
    """The code of the refusal; nothing is written."""
    with pytest.raises(CaseError) as refused:
        sign(actor, case, headline, **said)
    return refused.value.code


# --- What has to be done before ------------------------------------------------------------


def test_a_case_with_an_unread_field_is_not_signed(
    clinician: User, case: Case, specimen: Specimen
) -> None:
    case = add_fields(clinician, specimen, 1)
    assert signing_blockers(case, clinician) == ["1 screened field has not been read."]
    assert refusal(clinician, case) == "not_ready"
    assert nothing_signed()
    agree_with_all(actor=clinician, case=case)
    assert signing_blockers(Case.objects.get(), clinician) == []
    assert sign(clinician, case)


def test_a_case_with_a_waiting_field_is_not_signed(
    clinician: User, case: Case, specimen: Specimen
) -> None:
    create_field(clinician, smear_jpeg(9), specimen)
    case = Case.objects.get()
    assert signing_blockers(case, clinician) == ["1 field waits for the model."]
    assert refusal(clinician, case) == "not_ready"
    assert nothing_signed()


def test_a_field_that_failed_has_to_be_marked_unusable(
    clinician: User, case: Case, specimen: Specimen, predictor: FakePredictor
) -> None:
    failing = create_field(clinician, smear_jpeg(9), specimen)
    predictor.error = RuntimeError("no model")
    for _ in range(20):
        run_field(failing)
        make_due(failing)
    failing.refresh_from_db()
    assert failing.status == "failed"
    assert "could not be screened" in signing_blockers(Case.objects.get(), clinician)[0]
    assert refusal(clinician, case) == "not_ready"
    review_create(
        actor=clinician, diagnosis=failing, verdict=Verdict.UNUSABLE, reason="Nothing came of it."
    )
    assert sign(clinician, case)


def test_a_refused_field_needs_no_reading(clinician: User, case: Case, specimen: Specimen) -> None:
    refused = run_field(create_field(clinician, document_jpeg(), specimen))
    assert refused.status == "refused"
    report = sign(clinician, case)
    assert report
    fields = json.loads(report.content)["fields"]
    assert [field["outcome"] for field in fields] == ["suspicious", "suspicious", "rejected"]
    assert fields[2]["failed_checks"]


def test_a_case_without_fields_is_not_signed(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    case = case_refresh(specimen.pk)
    assert signing_blockers(case, clinician) == [
        "There is no field to read yet: upload the first one."
    ]
    assert refusal(clinician, case) == "not_ready"


def test_a_conclusion_other_than_the_software_s_needs_a_reason(clinician: User, case: Case) -> None:
    assert refusal(clinician, case, "indeterminate") == "reason_missing"
    assert refusal(clinician, case, "indeterminate", reason="  ") == "reason_missing"
    report = sign(clinician, case, "indeterminate", reason=" Thick smear. ")
    assert report
    conclusion = json.loads(report.content)["conclusion"]
    assert (conclusion["headline"], conclusion["agrees"]) == ("indeterminate", False)
    assert conclusion["reason"] == "Thick smear."


@pytest.mark.parametrize("headline", ["", "waiting", "healthy"])
def test_only_known_conclusions_are_taken(clinician: User, case: Case, headline: str) -> None:
    assert refusal(clinician, case, headline, reason="So be it.") == "conclusion_missing"
    assert nothing_signed()


def test_not_suspicious_needs_enough_usable_fields(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    predictor.probabilities = BENIGN
    case = read_case(clinician, specimen, 4)
    assert case.headline == "indeterminate"
    assert refusal(clinician, case, "not_suspicious", reason="Looks so.") == "too_few_fields"
    case = read_case(clinician, specimen, 1)
    assert case.headline == "not_suspicious"
    unusable = Diagnosis.objects.first()
    assert unusable
    review_create(
        actor=clinician, diagnosis=unusable, verdict=Verdict.UNUSABLE, reason="Out of focus."
    )
    assert refusal(clinician, case, "not_suspicious") == "too_few_fields"
    review_create(actor=clinician, diagnosis=unusable, verdict=Verdict.AGREE)
    assert sign(clinician, case, "not_suspicious")


def test_not_suspicious_does_not_stand_against_malignant_readings(
    clinician: User, specimen: Specimen, predictor: FakePredictor
) -> None:
    predictor.probabilities = BENIGN
    case = read_case(clinician, specimen, 5)
    second = Diagnosis.objects.order_by("id")[1]
    review_create(
        actor=clinician,
        diagnosis=second,
        verdict=Verdict.OVERRIDE,
        label="Malignant Pre-B",
        reason="Blasts.",
    )
    with pytest.raises(CaseError, match="against this conclusion: 2"):
        sign(clinician, case, "not_suspicious")
    assert nothing_signed()


def test_who_saw_something_else_does_not_sign_this(
    clinician: User, case: Case, specimen: Specimen
) -> None:
    before = seen(case)
    field = Diagnosis.objects.first()
    assert field
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Blurred.")
    assert refusal(clinician, case, seen=before) == "changed"
    assert nothing_signed()
    assert sign(clinician, case)


def test_what_changes_while_the_pdf_is_made_is_not_signed(
    clinician: User, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = Diagnosis.objects.first()
    assert field

    def render(*_: object) -> bytes:
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Late.")
        return b"%PDF-1.4"

    monkeypatch.setattr(signoff, "render", render)
    assert refusal(clinician, case) == "changed"
    assert not Report.objects.exists()
    assert not Signature.objects.exists()
    assert Case.objects.get().status == CaseStatus.IN_REVIEW


# --- What a signature makes ----------------------------------------------------------------


def test_signing_makes_a_report_of_exactly_what_was_signed(
    clinician: User, case: Case, specimen: Specimen
) -> None:
    clinician.first_name, clinician.last_name = "Ada", "Reader"
    clinician.save()
    report = sign(clinician, case, comment="Blasts with fine chromatin.")
    case.refresh_from_db()
    assert report
    assert (case.status, case.closed, report.number) == ("signed", 1, 1)
    assert hashlib.sha256(report.content.encode()).hexdigest() == report.content_sha256
    content = json.loads(report.content)
    assert content["patient"]["name"] == specimen.patient.name
    assert content["specimen"]["accession_number"] == specimen.accession_number
    assert content["software"]["headline"] == "suspicious"
    assert content["conclusion"]["comment"] == "Blasts with fine chromatin."
    assert [field["reading"]["verdict"] for field in content["fields"]] == ["agree", "agree"]
    signature = report.signatures.get()
    assert (signature.signer, signature.printed_name) == (clinician, "Ada Reader")
    assert (signature.meaning, signature.signed_at) == ("review", report.created_at)
    pdf = media_read(report.pdf_name, report.pdf_sha256)
    assert pdf.startswith(b"%PDF")
    assert hashlib.sha256(pdf).hexdigest() == report.pdf_sha256
    actions = AuditEvent.objects.filter(target_type="diagnosis.case").order_by("pk")
    assert list(actions.values_list("action", flat=True))[-2:] == ["case.signature", "case.signed"]


def test_a_signed_case_takes_no_reading_and_no_signature(clinician: User, case: Case) -> None:
    sign(clinician, case)
    field = Diagnosis.objects.first()
    assert field
    with pytest.raises(CaseError) as refused:
        review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Late.")
    assert refused.value.code == "signed"
    assert refusal(clinician, case) == "signed"
    assert Report.objects.count() == Signature.objects.count() == 1
    assert field.reviews.count() == 1


def test_a_field_that_comes_after_the_signature_is_kept_and_changes_no_report(
    clinician: User, case: Case, specimen: Specimen
) -> None:
    report = sign(clinician, case)
    assert report
    case = add_fields(clinician, specimen, 1)
    assert (case.status, case.closed, case.suspicious) == ("signed", 1, 3)
    assert Report.objects.get().content == report.content


def test_where_the_first_read_is_blinded_a_signer_has_read_every_field(
    clinician: User, case: Case, settings: Settings
) -> None:
    settings.BLINDED_FIRST_READ = True
    second = second_clinician()
    sentences = ["2 screened fields wait for your own reading."]
    assert signing_blockers(case, second) == sentences
    assert refusal(second, case) == "not_ready"
    assert nothing_signed()
    for field in Diagnosis.objects.all():
        reading_create(actor=second, diagnosis=field, label="Malignant Pre-B")
    assert sign(second, case)


# --- Two signers ---------------------------------------------------------------------------


@pytest.fixture
def two_signers(settings: Settings) -> None:
    settings.SIGNATURES_REQUIRED = 2


@pytest.mark.usefixtures("two_signers")
def test_two_people_sign_the_same(clinician: User, case: Case) -> None:
    assert sign(clinician, case, comment="Blasts.") is None
    case.refresh_from_db()
    assert (case.status, case.closed) == ("in_review", 0)
    assert refusal(clinician, case, comment="Blasts.") == "signed_already"
    report = sign(second_clinician(), case, comment="Blasts.")
    assert report
    assert [(signature.signer.username, signature.meaning) for signature in report.signatures] == [
        ("clinician", "review"),
        ("second", "approval"),
    ]
    assert Conclusion.objects.get().author == clinician
    case.refresh_from_db()
    assert case.status == "signed"


@pytest.mark.usefixtures("two_signers")
def test_a_signature_does_not_count_for_what_changed_after_it(clinician: User, case: Case) -> None:
    sign(clinician, case)
    field = Diagnosis.objects.first()
    assert field
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Blurred.")
    second = second_clinician()
    assert sign(second, case) is None, "the first signature was under something else"
    report = sign(clinician, case)
    assert report
    assert [signature.signer.username for signature in report.signatures] == [
        "second",
        "clinician",
    ]


@pytest.mark.usefixtures("two_signers")
def test_of_two_who_sign_at_once_the_later_is_asked_again(
    clinician: User, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else there would be two first signatures, and no report."""
    sign(clinician, case)
    field = Diagnosis.objects.first()
    assert field
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Blurred.")
    second, write = second_clinician(), signoff._write

    def write_later(*args: object) -> None:
        monkeypatch.setattr(signoff, "_write", write)
        assert sign(second, case) is None
        write(*args)

    monkeypatch.setattr(signoff, "_write", write_later)
    assert refusal(clinician, case) == "changed"
    assert sign(clinician, case)


@pytest.mark.usefixtures("two_signers")
def test_who_concludes_otherwise_signs_first(clinician: User, case: Case) -> None:
    sign(clinician, case)
    second = second_clinician()
    assert sign(second, case, "indeterminate", reason="Thick smear.") is None
    report = sign(clinician, case, "indeterminate", reason="Thick smear.")
    assert report
    assert json.loads(report.content)["conclusion"]["author"]["username"] == "second"


# --- Amendments ----------------------------------------------------------------------------


def test_an_amendment_opens_the_case_and_ends_in_another_report(
    clinician: User, case: Case
) -> None:
    first = sign(clinician, case)
    assert first
    amendment = signoff.case_amend(actor=clinician, case=case, reason=" Field 1 is blurred. ")
    case.refresh_from_db()
    assert (case.status, case.closed) == ("signed", 0)
    field = Diagnosis.objects.order_by("id").first()
    assert field
    review_create(actor=clinician, diagnosis=field, verdict=Verdict.UNUSABLE, reason="Blurred.")
    second = sign(clinician, case)
    case.refresh_from_db()
    assert second
    assert (case.status, case.closed, second.number) == ("amended", 1, 2)
    content = json.loads(second.content)
    assert content["report"]["amends"]["reason"] == "Field 1 is blurred."
    assert content["report"]["amends"]["content_sha256"] == first.content_sha256
    assert content["fields"][0]["reading"]["earlier"] == 1
    assert amendment.report == first
    first.refresh_from_db()
    assert json.loads(first.content)["fields"][0]["reading"]["verdict"] == "agree"
    signoff.case_amend(actor=clinician, case=case, reason="And again.")
    third = sign(clinician, case)
    assert third
    assert third.number == 3
    case.refresh_from_db()
    assert case.status == "amended"


def test_only_a_closed_case_is_amended_and_with_a_reason(clinician: User, case: Case) -> None:
    for reason, code in (("Late.", "not_signed"), (" ", "reason_missing")):
        with pytest.raises(CaseError) as refused:
            signoff.case_amend(actor=clinician, case=case, reason=reason)
        assert refused.value.code == code
    sign(clinician, case)
    signoff.case_amend(actor=clinician, case=case, reason="Late.")
    with pytest.raises(CaseError) as refused:
        signoff.case_amend(actor=clinician, case=case, reason="Twice.")
    assert refused.value.code == "not_signed"
    assert Amendment.objects.count() == 1


def test_corrected_details_of_the_patient_stand_in_the_amended_report_alone(
    clinician: User, case: Case, specimen: Specimen
) -> None:
    first = sign(clinician, case)
    patient_update(
        actor=clinician,
        patient=Patient.objects.get(),
        name="Ada Corrected",
        reason="The name was misspelt.",
    )
    second = sign(clinician, case)
    assert first
    assert second
    first.refresh_from_db()
    assert json.loads(first.content)["patient"]["name"] == "Ada Example"
    assert json.loads(second.content)["patient"]["name"] == "Ada Corrected"
