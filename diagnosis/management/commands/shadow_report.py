"""``manage.py shadow_report``: what a candidate would have said in place of the live version."""

from typing import Any

import numpy as np
from django.core.management.base import BaseCommand

from diagnosis.fields.shadow import FAILED, Agreement, Pair, shadow_agreement
from diagnosis.statistics.agreement import cohen_kappa


class Command(BaseCommand):
    """Counts agreement of outcomes and classes, and lists the fields that would change."""

    help = "Compare the answers of a candidate in shadow mode with those that were given."

    def handle(self, **options: Any) -> None:
        """Print a section for each candidate that has answered."""
        found = shadow_agreement()
        if not found:
            self.stdout.write(
                "No candidate has answered. Name one with `python -m export canary N` and set "
                "SHADOW=true for the workers."
            )
        for agreement in found:
            self.stdout.write("\n".join(_section(agreement)))


def _section(agreement: Agreement) -> list[str]:
    outcomes, classes = agreement.outcomes, agreement.classes
    total = sum(outcomes.values())
    failed = sum(count for (_, theirs), count in outcomes.items() if theirs == FAILED)
    lines = [
        f"Version {agreement.version} (digest {agreement.digest[:12]}) on {total} fields:",
        f"  same outcome   {_share(outcomes)}",
        f"  same class     {_share(classes)}, Cohen's kappa {_kappa(classes)}",
        f"  could not answer: {failed}",
    ]
    for (given, theirs), count in sorted(outcomes.items(), key=lambda item: -item[1]):
        if given != theirs:
            lines.append(f"  {given} -> {theirs}: {count}")
    if agreement.changed:
        lines.append(f"  diagnoses: {', '.join(map(str, agreement.changed))}")
    return lines


def _share(pairs: dict[Pair, int]) -> str:
    total = sum(pairs.values())
    same = sum(count for (given, theirs), count in pairs.items() if given == theirs)
    return f"{same} of {total} ({same / total:.1%})" if total else "none to compare"


def _kappa(pairs: dict[Pair, int]) -> str:
    names = sorted({name for pair in pairs for name in pair})
    table = np.zeros((len(names), len(names)))
    for (given, theirs), count in pairs.items():
        table[names.index(given), names.index(theirs)] = count
    kappa = float(cohen_kappa(table))
    return "undefined" if np.isnan(kappa) else f"{kappa:.3f}"
