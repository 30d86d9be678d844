"""What people do with a case: take it up, assign it, review its fields.

Whatever changes the fields or readings of a case counts them again in the same transaction.
"""

from collections.abc import Sequence

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _

from diagnosis.cases.blinding import is_kept
from diagnosis.core.aggregate import FieldCounts, case_verdict
from diagnosis.core.imaging.contract import LABELS
from diagnosis.core.state import CaseHeadline, CaseStatus, Status, Verdict
from diagnosis.models import FIELD_KINDS, STANDING, Case, Diagnosis, Priority, Review
from diagnosis.storage.images import image_read
from diagnosis.storage.media import MediaDamagedError
from webapp.audit.services import audit_record
from webapp.domain_error import DomainError
from webapp.text.typed import clean_text

CALM = frozenset({CaseHeadline.NOT_SUSPICIOUS, CaseHeadline.WAITING})


class CaseError(DomainError):
    """Something cannot be done with a case; says what has to be done first."""


def case_refresh(specimen_id: int) -> Case:
    """The case of a specimen, its fields and reviews counted anew; made if there is none.

    Call it within the transaction of the change that it is to see, after that change: the case's
    row is locked, so whoever counts next sees what was counted here.
    """
    case = Case.objects.select_for_update().filter(specimen_id=specimen_id).first()
    if case is None:
        case, _ = Case.objects.get_or_create(specimen_id=specimen_id)
    found = Diagnosis.objects.filter(STANDING, specimen=specimen_id).aggregate(
        # Of those that the model judged: a reading that calls a refused field unusable is one more.
        reviewed=Count(
            "pk", filter=Q(status=Status.SCREENED, reviews__isnull=False), distinct=True
        ),
        **{name: Count("pk", filter=which, distinct=True) for name, which in FIELD_KINDS.items()},
    )
    counts = {name: found[name] for name in FIELD_KINDS}
    tally = FieldCounts(**counts)
    verdict = case_verdict(tally, settings.MIN_USABLE_FIELDS)
    counted = {
        **found,
        "headline": verdict.headline.value,
        "rule": verdict.rule.value,
        # Nobody has to look at a case all of whose fields were withdrawn.
        "calm": int(verdict.headline in CALM or not tally.total),
    }
    Case.objects.filter(pk=case.pk).update(**counted)
    for name, value in counted.items():
        setattr(case, name, value)
    return case


def case_assign(
    *,
    actor: AbstractBaseUser,
    case: Case,
    assignee: AbstractBaseUser | None,
    seen: str | None = None,
) -> None:
    """Say who is to look at a case; ``None`` gives it back to all.

    Args:
        seen: id of the assignee that ``actor`` was shown, empty for nobody; ``None`` if none was.

    Raises:
        CaseError: somebody else has taken it or given it back meanwhile.
    """
    with transaction.atomic():
        stored = Case.objects.select_for_update().get(pk=case.pk)
        if seen is not None and seen != str(stored.assignee_id or ""):
            raise CaseError(
                "changed",
                _("The case has another assignee meanwhile: see who it is, then decide."),
            )
        Case.objects.filter(pk=case.pk).update(assignee=assignee)
        detail = {"assignee_id": assignee.pk if assignee else None}
        audit_record(actor=actor, action="case.assigned", target=case, detail=detail)
    case.refresh_from_db()


def case_prioritise(
    *, actor: AbstractBaseUser, case: Case, priority: Priority, seen: str | None = None
) -> None:
    """Say how soon somebody is to look at a case.

    Args:
        seen: the priority that ``actor`` was shown; ``None`` if none was.

    Raises:
        CaseError: somebody else has set another meanwhile.
    """
    with transaction.atomic():
        stored = Case.objects.select_for_update().get(pk=case.pk)
        if seen is not None and seen != str(stored.priority):
            raise CaseError(
                "changed",
                _("The case has another priority meanwhile: look at it, then decide."),
            )
        Case.objects.filter(pk=case.pk).update(priority=priority)
        audit_record(
            actor=actor,
            action="case.prioritised",
            target=case,
            # Names, not labels: the trail speaks English whoever writes it.
            detail={
                "from": Priority(stored.priority).name.capitalize(),
                "to": Priority(priority).name.capitalize(),
            },
        )
    case.refresh_from_db()


def review_create(
    *,
    actor: AbstractBaseUser,
    diagnosis: Diagnosis,
    verdict: Verdict,
    label: str = "",
    reason: str = "",
    blinded: bool = False,
) -> Review:
    """Record what a person says of a field.

    The first review of a case takes it up.

    Args:
        diagnosis: as it is stored, not ``concealed``.
        label: the class, for ``override`` alone.
        reason: needed for ``override`` and ``unusable``, and for every change of a blinded
            reading; in a blinded read itself there is nothing yet to give a reason against.
        blinded: the reader has not been shown the software's answer. ``verdict`` is then decided
            here: whether ``label`` is what the software says.

    Raises:
        CaseError: the field belongs to no specimen, was withdrawn, has no result that could be
            judged, its stored image is damaged, label or reason are missing, the case is signed,
            or the reader has to commit a blinded reading first.
    """
    require_image(diagnosis)
    return _review(
        actor=actor,
        diagnosis=diagnosis,
        verdict=verdict,
        label=label,
        reason=reason,
        blinded=blinded,
    )


def _review(
    *,
    actor: AbstractBaseUser,
    diagnosis: Diagnosis,
    verdict: Verdict,
    label: str = "",
    reason: str = "",
    blinded: bool = False,
) -> Review:
    """``review_create`` of a field whose stored image was read."""
    if diagnosis.specimen_id is None:
        raise CaseError("unassigned", _("Assign the field to a specimen before reviewing it."))
    if diagnosis.status != Status.SCREENED and verdict != Verdict.UNUSABLE:
        raise CaseError(
            "nothing_to_review",
            _("The software gave no class for this field; it needs no review."),
        )
    if diagnosis.status == Status.RECEIVED:
        raise CaseError("still_waiting", _("The field waits for the model; review it afterwards."))
    if blinded and verdict != Verdict.UNUSABLE:
        verdict = Verdict.AGREE if label == diagnosis.predicted_class else Verdict.OVERRIDE
    label = _label(diagnosis, verdict, label)
    reason = clean_text(reason)
    if not blinded:
        _check_unblinded(actor, diagnosis, verdict, reason)
    with transaction.atomic():
        require_open(Case.objects.select_for_update().get(specimen=diagnosis.specimen_id))
        require_standing(diagnosis)
        review = Review.objects.create(
            diagnosis=diagnosis,
            reviewer=actor,  # type: ignore[misc]
            verdict=verdict,
            label=label,
            reason=reason,
            blinded=blinded,
        )
        audit_record(
            actor=actor,
            action="diagnosis.reviewed",
            target=diagnosis,
            detail={"review_id": review.pk, "verdict": verdict.value, "blinded": blinded},
        )
        case = case_refresh(diagnosis.specimen_id)
        case_take_up(actor=actor, case=case)
    return review


def require_open(case: Case) -> None:
    """Refuse to go on with a signed case; call it while the case's row is locked.

    Raises:
        CaseError: the case is signed, and no amendment is open.
    """
    if case.closed:
        raise CaseError("signed", _("The case is signed: open an amendment first."))


def require_standing(diagnosis: Diagnosis) -> None:
    """Refuse to go on with a field that was withdrawn; call it while its case's row is locked.

    Raises:
        CaseError: it was.
    """
    if not Diagnosis.objects.filter(STANDING, pk=diagnosis.pk).exists():
        raise CaseError("withdrawn", _("The field was withdrawn, so it is not read any more."))


def require_image(diagnosis: Diagnosis) -> None:
    """Refuse to go on with a field whose stored image is not what was stored; reads all of it.

    Raises:
        CaseError: it is not.
    """
    try:
        image_read(diagnosis)
    except MediaDamagedError as damage:
        raise CaseError("image_damaged", image_damaged(diagnosis)) from damage


def image_damaged(diagnosis: Diagnosis) -> str:
    """That nobody can answer for a field, and what to do."""
    return _(
        "The stored image of field %(number)d is damaged or missing, so nobody can answer for it: "
        "have your operator bring the file back from a backup, or withdraw the field."
    ) % {"number": number_of(diagnosis)}


def number_of(diagnosis: Diagnosis) -> int:
    """Which field of its case it is by time of arrival, from 1; those withdrawn count as well."""
    fields = Diagnosis.objects.filter(specimen=diagnosis.specimen_id, pk__lte=diagnosis.pk)
    return fields.count()


def reading_create(
    *, actor: AbstractBaseUser, diagnosis: Diagnosis, label: str, reason: str = ""
) -> Review:
    """Record the class that a reader states; see ``review_create``.

    Whether it agrees with the software, and whether the reader was blinded, is decided here.

    Args:
        label: a class, or empty for a field that is unusable.

    Raises:
        CaseError: as for ``review_create``.
    """
    if not label:
        verdict = Verdict.UNUSABLE
    else:
        verdict = Verdict.AGREE if label == diagnosis.predicted_class else Verdict.OVERRIDE
    return review_create(
        actor=actor,
        diagnosis=diagnosis,
        verdict=verdict,
        label=label,
        reason=reason,
        blinded=is_kept(diagnosis, actor),
    )


def agree_with_all(*, actor: AbstractBaseUser, case: Case) -> int:
    """Agree with every screened field that nobody has reviewed yet; gives how many.

    Accept all, then correct: a later review of a field takes the place of this one.

    Raises:
        CaseError: the first read is blinded on this site, so each field needs a reading; or the
            stored image of one is damaged. Nothing is recorded.
    """
    if settings.BLINDED_FIRST_READ:
        raise CaseError("read_first", _("Read the fields one by one: the first read is blinded."))
    left = _unreviewed(case)
    for diagnosis in left:
        require_image(diagnosis)
    with transaction.atomic():
        for diagnosis in left:
            _review(actor=actor, diagnosis=diagnosis, verdict=Verdict.AGREE)
    return len(left)


def _unreviewed(case: Case) -> Sequence[Diagnosis]:
    fields = Diagnosis.objects.filter(
        STANDING, specimen=case.specimen_id, status=Status.SCREENED, reviews__isnull=True
    )
    return list(fields.select_related("specimen").order_by("id"))


def _label(diagnosis: Diagnosis, verdict: Verdict, label: str) -> str:
    """The class that a review states.

    Raises:
        CaseError: there is none, or it is the one that was to be overridden.
    """
    if verdict == Verdict.UNUSABLE:
        return ""
    if verdict == Verdict.AGREE:
        return diagnosis.predicted_class or ""
    if label not in LABELS:
        raise CaseError(
            "label_missing", _("Choose one of: %(labels)s.") % {"labels": ", ".join(LABELS)}
        )
    if label == diagnosis.predicted_class:
        raise CaseError(
            "label_same", _("That is the software's own class: agree, or choose another.")
        )
    return label


def _check_unblinded(
    actor: AbstractBaseUser, diagnosis: Diagnosis, verdict: Verdict, reason: str
) -> None:
    """Hold a reading in sight of the software's answer to what it needs.

    Raises:
        CaseError: that answer is still kept from the reader, or a reason is missing.
    """
    if is_kept(diagnosis, actor):
        raise CaseError(
            "read_first", _("Commit your own reading first; the software’s answer comes after it.")
        )
    if reason:
        return
    if verdict != Verdict.AGREE:
        raise CaseError(
            "reason_missing", _("Give a reason: it stands in the record and the report.")
        )
    if diagnosis.reviews.filter(reviewer_id=actor.pk, blinded=True).exists():
        raise CaseError("reason_missing", _("Give a reason for changing your blinded reading."))


def case_take_up(*, actor: AbstractBaseUser, case: Case) -> None:
    """A new case is in review from its first review or signature on."""
    if case.status != CaseStatus.NEW:
        return
    if Case.objects.filter(pk=case.pk).move(CaseStatus.NEW, CaseStatus.IN_REVIEW):
        audit_record(
            actor=actor,
            action="case.in_review",
            target=case,
            detail={"from": CaseStatus.NEW.value},
        )
