"""What a diagnosis and a case can be and become, as data."""

from enum import StrEnum


class Status(StrEnum):
    """Where the record of one field stands."""

    RECEIVED = "received"
    SCREENED = "screened"
    REFUSED = "refused"
    FAILED = "failed"


class Headline(StrEnum):
    """What a clinician is told first; decided in ``pipeline.decide``."""

    REJECTED = "rejected"
    INDETERMINATE = "indeterminate"
    SUSPICIOUS = "suspicious"
    NOT_SUSPICIOUS = "not_suspicious"


# AI output is read-only for ever, so `screened` and `refused` lead nowhere. `failed` may be
# retried by an administrator, which makes it `received` again.
ALLOWED: dict[Status, frozenset[Status]] = {
    Status.RECEIVED: frozenset({Status.SCREENED, Status.REFUSED, Status.FAILED}),
    Status.SCREENED: frozenset(),
    Status.REFUSED: frozenset(),
    Status.FAILED: frozenset({Status.RECEIVED}),
}


class CaseStatus(StrEnum):
    """Where the people stand with a case."""

    NEW = "new"
    IN_REVIEW = "in_review"
    SIGNED = "signed"
    AMENDED = "amended"


# A signature is for ever: what comes after it is an amendment, and another.
CASE_ALLOWED: dict[CaseStatus, frozenset[CaseStatus]] = {
    CaseStatus.NEW: frozenset({CaseStatus.IN_REVIEW}),
    CaseStatus.IN_REVIEW: frozenset({CaseStatus.SIGNED}),
    CaseStatus.SIGNED: frozenset({CaseStatus.AMENDED}),
    CaseStatus.AMENDED: frozenset({CaseStatus.AMENDED}),
}


class CaseHeadline(StrEnum):
    """What the software says of a case as a whole; decided in ``aggregate.case_verdict``."""

    SUSPICIOUS = "suspicious"
    INDETERMINATE = "indeterminate"
    WAITING = "waiting"
    NOT_SUSPICIOUS = "not_suspicious"


# What a person may conclude of a case: as the software, but a reader is not waiting for anything.
CONCLUSIONS = (
    CaseHeadline.SUSPICIOUS,
    CaseHeadline.INDETERMINATE,
    CaseHeadline.NOT_SUSPICIOUS,
)


class Meaning(StrEnum):
    """What a signature means, as it is printed beside it."""

    REVIEW = "review"
    APPROVAL = "approval"


class AmendmentKind(StrEnum):
    """What a signed case was opened for."""

    CONTENT = "content"
    IDENTITY = "identity"


class Verdict(StrEnum):
    """What a person says of a field that the software screened."""

    AGREE = "agree"
    OVERRIDE = "override"
    UNUSABLE = "unusable"
