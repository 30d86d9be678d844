"""From the fields of a case to what the software says of it. Pure: data in, data out.

One suspicious field makes a case suspicious: blasts may stand in one field of many. The other way
round nothing is concluded from few fields, nor as long as one of them is undecided.
"""

from dataclasses import dataclass
from enum import StrEnum

from diagnosis.core.state import CaseHeadline


@dataclass(frozen=True)
class FieldCounts:
    """How many fields of a case there are, by what became of them."""

    suspicious: int = 0
    indeterminate: int = 0
    not_suspicious: int = 0
    rejected: int = 0
    waiting: int = 0
    failed: int = 0

    @property
    def usable(self) -> int:
        """Fields that the model judged."""
        return self.suspicious + self.indeterminate + self.not_suspicious

    @property
    def total(self) -> int:
        """All of them."""
        return self.usable + self.rejected + self.waiting + self.failed


class Rule(StrEnum):
    """Which rule decided; the first that applies, in this order."""

    SUSPICIOUS_FIELD = "suspicious_field"
    FIELDS_WAIT = "fields_wait"
    TOO_FEW_FIELDS = "too_few_fields"
    INDETERMINATE_FIELD = "indeterminate_field"
    ALL_NOT_SUSPICIOUS = "all_not_suspicious"


@dataclass(frozen=True)
class CaseVerdict:
    """What the software says of a case, and the rule by which it does."""

    headline: CaseHeadline
    rule: Rule


def case_verdict(counts: FieldCounts, minimum: int) -> CaseVerdict:
    """The verdict on a case.

    Args:
        counts: of its fields.
        minimum: usable fields below which a case is never ``not_suspicious``; at least 1.
    """
    if counts.suspicious:
        return CaseVerdict(CaseHeadline.SUSPICIOUS, Rule.SUSPICIOUS_FIELD)
    if counts.waiting:
        return CaseVerdict(CaseHeadline.WAITING, Rule.FIELDS_WAIT)
    if counts.usable < max(minimum, 1):
        return CaseVerdict(CaseHeadline.INDETERMINATE, Rule.TOO_FEW_FIELDS)
    if counts.indeterminate:
        return CaseVerdict(CaseHeadline.INDETERMINATE, Rule.INDETERMINATE_FIELD)
    return CaseVerdict(CaseHeadline.NOT_SUSPICIOUS, Rule.ALL_NOT_SUSPICIOUS)
