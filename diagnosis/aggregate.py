"""``core.aggregate`` under the name that landed migrations import, whose text may not change."""

from diagnosis.core.aggregate import FieldCounts, Rule, case_verdict

__all__ = ["FieldCounts", "Rule", "case_verdict"]
