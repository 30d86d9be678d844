"""Signing a case, and opening a signed one again.

A signature stands under the sha256 of the case's content (``reports.content``). With the last
signature that the laboratory asks for, content and PDF become a report, and the case is closed:
nothing of it changes any more unless somebody opens an amendment, which ends in another report.
"""

from dataclasses import dataclass

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from diagnosis.cases.amendments import amendment_open, latest_report
from diagnosis.cases.services import (
    CaseError,
    case_refresh,
    case_take_up,
    require_image,
    require_open,
)
from diagnosis.core.errors import DecodersBusyError
from diagnosis.core.imaging.contract import BENIGN
from diagnosis.core.state import (
    CONCLUSIONS,
    AmendmentKind,
    CaseHeadline,
    CaseStatus,
    Meaning,
    Verdict,
)
from diagnosis.models import STANDING, Amendment, Case, Conclusion, Diagnosis, Report, Signature
from diagnosis.reports.content.snapshot import (
    Document,
    canonical,
    case_content,
    content_sha256,
    person,
    reading_sha256,
)
from diagnosis.reports.pdf.document import render
from diagnosis.signing.blockers import signing_blockers
from diagnosis.storage.media import report_write
from diagnosis.storage.references import file_take_back
from webapp.audit.services import audit_record
from webapp.text.typed import clean_text


def latest_conclusion(case: Case) -> Conclusion | None:
    """The conclusion that holds, if anybody came to one."""
    return Conclusion.objects.select_related("author").filter(case=case).first()


def current_content(case: Case, conclusion: Conclusion | None) -> Document:
    """What the next report of ``case`` would say now."""
    last = latest_report(case)
    amendments = Amendment.objects.select_related("author", "report")
    return case_content(
        case,
        number=last.number + 1 if last else 1,
        conclusion=conclusion,
        amendment=amendments.filter(report=last).first() if last else None,
    )


def signatures_under(case: Case, content: Document) -> list[Signature]:
    """Who has signed exactly ``content``, the first signer first."""
    signed = Signature.objects.filter(case=case, content_sha256=content_sha256(content))
    return list(signed.select_related("signer"))


def draft(case: Case) -> tuple[Document, list[Signature]]:
    """What the next report of ``case`` would say now, and who has signed exactly that.

    The last conclusion is part of it only once somebody has signed it there: that of an earlier
    report says nothing of what has changed since.
    """
    content = current_content(case, latest_conclusion(case))
    signatures = signatures_under(case, content)
    return (content, signatures) if signatures else (current_content(case, None), [])


@dataclass(frozen=True)
class _Signing:
    """Everything of a signature before it is written."""

    conclusion: Conclusion
    content: Document
    signature: Signature
    signatures: list[Signature]

    @property
    def completes(self) -> bool:
        """Whether it is the last that is asked for."""
        return len(self.signatures) >= settings.SIGNATURES_REQUIRED


def case_sign(
    *,
    actor: AbstractBaseUser,
    case: Case,
    headline: str,
    comment: str = "",
    reason: str = "",
    seen: str,
) -> Report | None:
    """Sign a case; gives its report, or ``None`` while another signature is missing.

    The PDF is complete on disk before the row that names it is committed, and is made before the
    case is locked, so that nobody waits for it.

    Args:
        actor: who signs; has proved just now to be that person.
        headline: the conclusion, one of ``state.CONCLUSIONS``.
        reason: needed where the conclusion is not what the software suggests.
        seen: ``reading_sha256`` of what the signer was shown.

    Raises:
        CaseError: it cannot be signed, or not so; nothing is written.
        OSError: the PDF cannot be kept; nothing is written.
    """
    case = Case.objects.get(pk=case.pk)
    for field in Diagnosis.objects.filter(STANDING, specimen=case.specimen_id).order_by("pk"):
        require_image(field)
    _require_signable(case, actor)
    if reading_sha256(current_content(case, None)) != seen:
        raise _changed()
    signing = _prepare(actor, case, headline, clean_text(comment), clean_text(reason))
    if not signing.completes:
        _write(actor, case.specimen_id, signing, None)
        return None
    pdf = _render(signing)
    name, digest = report_write(pdf)
    report = Report(
        case=case,
        number=signing.content["report"]["number"],
        content=canonical(signing.content),
        content_sha256=signing.signature.content_sha256,
        pdf_name=name,
        pdf_sha256=digest,
        created_at=signing.signature.signed_at,
    )
    try:
        _write(actor, case.specimen_id, signing, report)
    except Exception:
        file_take_back(name)
        raise
    # `clean_media` may have removed a stray of the same content just before the commit.
    report_write(pdf)
    return report


def case_amend(*, actor: AbstractBaseUser, case: Case, reason: str) -> Amendment:
    """Open a signed case again.

    Raises:
        CaseError: it is not signed, is open already, or there is no reason.
    """
    reason = clean_text(reason)
    if not reason:
        raise CaseError(
            "reason_missing", gettext("Give a reason: it stands in the amended report.")
        )
    with transaction.atomic():
        case = Case.objects.select_for_update().get(pk=case.pk)
        return amendment_open(actor=actor, case=case, reason=reason, kind=AmendmentKind.CONTENT)


def _require_signable(case: Case, signer: AbstractBaseUser) -> None:
    require_open(case)
    if missing := signing_blockers(case, signer):
        raise CaseError("not_ready", " ".join(missing))


def _prepare(
    actor: AbstractBaseUser, case: Case, headline: str, comment: str, reason: str
) -> _Signing:
    conclusion = _conclude(actor, case, headline, comment, reason)
    content = current_content(case, conclusion)
    _require_sound(content)
    earlier = signatures_under(case, content)
    if any(signature.signer_id == actor.pk for signature in earlier):
        raise CaseError(
            "signed_already",
            gettext("You have signed this; what is missing is another person's signature."),
        )
    signature = Signature(
        case=case,
        signer=actor,  # type: ignore[misc]
        printed_name=person(actor)["name"],
        meaning=(Meaning.APPROVAL if earlier else Meaning.REVIEW).value,
        content_sha256=content_sha256(content),
        signed_at=timezone.now(),
    )
    return _Signing(conclusion, content, signature, [*earlier, signature])


def _conclude(
    actor: AbstractBaseUser, case: Case, headline: str, comment: str, reason: str
) -> Conclusion:
    """The conclusion that holds if it says the same, else a new one, not saved yet."""
    if headline not in CONCLUSIONS:
        raise CaseError("conclusion_missing", gettext("Choose what you conclude."))
    if headline != case.headline and not reason:
        raise CaseError(
            "reason_missing",
            gettext(
                "Your conclusion is not what the software suggests: give a reason. It stands in "
                "the report."
            ),
        )
    last = latest_conclusion(case)
    if last and (last.headline, last.comment, last.reason) == (headline, comment, reason):
        return last
    return Conclusion(
        case=case,
        author=actor,  # type: ignore[misc]
        headline=headline,
        comment=comment,
        reason=reason,
        created_at=timezone.now(),
    )


def _require_sound(content: Document) -> None:
    """A conclusion of *not suspicious* agrees with the readings, and they are enough of them."""
    if content["conclusion"]["headline"] != CaseHeadline.NOT_SUSPICIOUS:
        return
    readings = [(field["number"], field["reading"]) for field in content["fields"]]
    usable = [
        (number, reading["label"])
        for number, reading in readings
        if reading and reading["verdict"] != Verdict.UNUSABLE
    ]
    if len(usable) < settings.MIN_USABLE_FIELDS:
        raise CaseError(
            "too_few_fields",
            gettext(
                "With fewer than %(minimum)d usable fields a case is not called not suspicious, "
                "and there are %(usable)d: upload more, or conclude otherwise."
            )
            % {"minimum": settings.MIN_USABLE_FIELDS, "usable": len(usable)},
        )
    if malignant := [str(number) for number, label in usable if label != BENIGN]:
        raise CaseError(
            "readings_disagree",
            gettext(
                "Fields read as malignant stand against this conclusion: %(fields)s. Change those "
                "readings, or conclude otherwise."
            )
            % {"fields": ", ".join(malignant)},
        )


def _write(
    actor: AbstractBaseUser, specimen_id: int, signing: _Signing, report: Report | None
) -> None:
    """Conclusion, signature and report, all or none, if the case is still what was signed."""
    with transaction.atomic():
        case = case_refresh(specimen_id)
        _require_signable(case, actor)
        content = current_content(case, signing.conclusion)
        if content_sha256(content) != signing.signature.content_sha256:
            raise _changed()
        if len(signatures_under(case, content)) + 1 != len(signing.signatures):
            raise _changed()  # another has signed this meanwhile, so ours may be the last
        if signing.conclusion.pk is None:
            signing.conclusion.save()
        case_take_up(actor=actor, case=case)
        signing.signature.save()
        detail = {
            "signature_id": signing.signature.pk,
            "meaning": signing.signature.meaning,
            "content_sha256": signing.signature.content_sha256,
        }
        audit_record(actor=actor, action="case.signature", target=case, detail=detail)
        if report is not None:
            report.save()
            _close(actor, case, report)


def _close(actor: AbstractBaseUser, case: Case, report: Report) -> None:
    rows = Case.objects.filter(pk=case.pk)
    current = CaseStatus(rows.values_list("status", flat=True).get())
    to = CaseStatus.SIGNED if report.number == 1 else CaseStatus.AMENDED
    if not rows.move(current, to):
        raise _changed()
    audit_record(
        actor=actor,
        action=f"case.{to.value}",
        target=case,
        detail={
            "from": current.value,
            "report": report.number,
            "pdf_sha256": report.pdf_sha256,
        },
    )


def _render(signing: _Signing) -> bytes:
    try:
        return render(signing.content, signing.signatures)
    except DecodersBusyError as error:
        raise CaseError(
            "busy",
            gettext("The report cannot be drawn up just now: sign again in a moment."),
        ) from error


def _changed() -> CaseError:
    return CaseError(
        "changed",
        gettext("Something of this case has changed meanwhile: look at it again, then sign."),
    )
