import pytest

from diagnosis.core.aggregate import CaseVerdict, FieldCounts, Rule, case_verdict
from diagnosis.core.state import CaseHeadline

MINIMUM = 5


@pytest.mark.parametrize(
    ("counts", "headline", "rule"),
    [
        (FieldCounts(), "indeterminate", "too_few_fields"),
        (FieldCounts(not_suspicious=5), "not_suspicious", "all_not_suspicious"),
        (FieldCounts(not_suspicious=4), "indeterminate", "too_few_fields"),
        (FieldCounts(not_suspicious=4, rejected=9), "indeterminate", "too_few_fields"),
        (FieldCounts(not_suspicious=4, failed=9), "indeterminate", "too_few_fields"),
        (FieldCounts(not_suspicious=5, rejected=9), "not_suspicious", "all_not_suspicious"),
        (FieldCounts(not_suspicious=99, indeterminate=1), "indeterminate", "indeterminate_field"),
        (FieldCounts(not_suspicious=99, suspicious=1), "suspicious", "suspicious_field"),
        (FieldCounts(suspicious=1), "suspicious", "suspicious_field"),
        (FieldCounts(suspicious=1, waiting=9), "suspicious", "suspicious_field"),
        (FieldCounts(not_suspicious=99, waiting=1), "waiting", "fields_wait"),
        (FieldCounts(indeterminate=9, waiting=1), "waiting", "fields_wait"),
    ],
)
def test_verdict_on_a_case(counts: FieldCounts, headline: str, rule: str) -> None:
    assert case_verdict(counts, MINIMUM) == CaseVerdict(CaseHeadline(headline), Rule(rule))


@pytest.mark.parametrize("minimum", [0, 1, 3, 20])
def test_few_fields_are_never_not_suspicious(minimum: int) -> None:
    for usable in range(minimum + 3):
        verdict = case_verdict(FieldCounts(not_suspicious=usable), minimum)
        assert (verdict.headline == CaseHeadline.NOT_SUSPICIOUS) is (usable >= max(minimum, 1))


def test_counts_add_up() -> None:
    counts = FieldCounts(1, 2, 4, 8, 16, 32)
    assert (counts.usable, counts.total) == (7, 63)
