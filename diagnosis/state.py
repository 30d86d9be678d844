"""``core.state`` under the name that landed migrations import, whose text may not change."""

from diagnosis.core.state import Headline, Status, Verdict

__all__ = ["Headline", "Status", "Verdict"]
