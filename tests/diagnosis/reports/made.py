"""Cases to report on, made the way the product makes them."""

from typing import Any

from django.contrib.auth.models import User

from diagnosis.cases.services import review_create
from diagnosis.core.state import Verdict
from diagnosis.models import Case, Diagnosis, Report
from diagnosis.reports.content.snapshot import reading_sha256
from diagnosis.signing.services import case_sign, current_content
from patients.models import Specimen
from tests.diagnosis.made.pictures import smear_jpeg
from tests.diagnosis.portal import records

REASON = "Coarse chromatin, no nucleoli"
UNUSABLE = "Crushed cells at the feathered edge"


def fields_of_every_kind(reader: User, specimen: Specimen, digest: str) -> dict[str, Diagnosis]:
    """Agreed, overridden, unusable and out of the domain, refused, failed and unusable."""
    kinds = {
        "agreed": records.screened(reader, specimen, digest=digest, upload=smear_jpeg(1)),
        "changed": records.screened(
            reader,
            specimen,
            outcome="indeterminate",
            probabilities=(0.6, 0.3, 0.0999, 0.0001),
            digest=digest,
            upload=smear_jpeg(2),
        ),
        "unusable": records.screened(
            reader, specimen, outcome="indeterminate", ood_score=12.5, digest=digest,
            upload=smear_jpeg(3),
        ),
        "refused": records.refused(reader, specimen, digest=digest),
        "failed": records.failed(reader, specimen),
    }  # fmt: skip
    review_create(actor=reader, diagnosis=kinds["agreed"], verdict=Verdict.AGREE)
    review_create(
        actor=reader,
        diagnosis=kinds["changed"],
        verdict=Verdict.OVERRIDE,
        label="Malignant Pro-B",
        reason=REASON,
    )
    for name in ("unusable", "failed"):
        review_create(
            actor=reader, diagnosis=kinds[name], verdict=Verdict.UNUSABLE, reason=UNUSABLE
        )
    return kinds


def case_of(specimen: Specimen) -> Case:
    """The case of ``specimen`` as it is in the database."""
    return Case.objects.get(specimen=specimen)


def sign(signer: User, specimen: Specimen, **said: Any) -> Report | None:
    """Sign what stands there; suspicious unless something else is said."""
    case = case_of(specimen)
    seen = reading_sha256(current_content(case, None))
    return case_sign(actor=signer, case=case, seen=seen, **{"headline": "suspicious", **said})
