"""A read case and people who sign it."""

from datetime import datetime
from itertools import count

from django.contrib.auth.models import Group, User
from django.utils import timezone

from diagnosis.cases.services import agree_with_all
from diagnosis.core.state import CaseStatus
from diagnosis.models import Amendment, Case, Report, Signature
from diagnosis.reports.content.snapshot import reading_sha256
from diagnosis.signing import services as signoff
from patients.models import Specimen
from tests.diagnosis.killed.steps import create_field, run_field
from tests.diagnosis.made.pictures import smear_jpeg

SEEDS = count()


def add_fields(actor: User, specimen: Specimen, number: int) -> Case:
    """The case of ``specimen`` after ``number`` more fields."""
    for _ in range(number):
        run_field(create_field(actor, smear_jpeg(1) + str(next(SEEDS)).encode(), specimen))
    return Case.objects.get(specimen=specimen)


def read_case(actor: User, specimen: Specimen, number: int = 2) -> Case:
    """A case whose ``number`` fields somebody has agreed with."""
    case = add_fields(actor, specimen, number)
    agree_with_all(actor=actor, case=case)
    return Case.objects.get(pk=case.pk)


def seen(case: Case) -> str:
    """What somebody who opens the page now is shown."""
    return reading_sha256(signoff.current_content(Case.objects.get(pk=case.pk), None))


def sign(actor: User, case: Case, headline: str = "suspicious", **said: str) -> Report | None:
    """Sign what ``case`` now is."""
    said.setdefault("seen", seen(case))
    return signoff.case_sign(actor=actor, case=case, headline=headline, **said)


def second_clinician() -> User:
    """Another person who may sign."""
    user = User.objects.create_user("second", first_name="Grete", last_name="Zweite")
    user.groups.add(Group.objects.get(name="Haematologist"))
    return user


def close(case: Case, *, amended: bool = False, at: datetime | None = None) -> None:
    """Lay down what signing leaves behind, whatever the fields of the case are."""
    at = at or timezone.now()
    signer, _ = User.objects.get_or_create(username="signer")
    for number in range(1, 3 if amended else 2):
        digest = f"{number:064}"
        Signature.objects.create(
            case=case,
            signer=signer,
            printed_name="signer",
            meaning="review",
            content_sha256=digest,
        )
        report = Report.objects.create(
            case=case,
            number=number,
            content="{}",
            content_sha256=digest,
            pdf_name="none",
            pdf_sha256=digest,
            created_at=at,
        )
        if amended and number == 1:
            Amendment.objects.create(report=report, author=signer, reason="Incomplete.")
    rows = Case.objects.filter(pk=case.pk)
    rows.move(CaseStatus.NEW, CaseStatus.IN_REVIEW)
    assert rows.move(CaseStatus.IN_REVIEW, CaseStatus.SIGNED)
    if amended:
        assert rows.move(CaseStatus.SIGNED, CaseStatus.AMENDED)
