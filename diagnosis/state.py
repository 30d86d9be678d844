"""What a diagnosis can be and become, as data."""

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
