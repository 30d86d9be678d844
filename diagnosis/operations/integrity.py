"""Whether rows, stored files and audit events tell the same story, and history is protected."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from django.db import connection
from django.db.models import QuerySet

from diagnosis.core.aggregate import case_verdict
from diagnosis.core.state import CaseStatus, Status
from diagnosis.models import Amendment, Case, Diagnosis, Report
from diagnosis.models.triggers import history_unprotected
from diagnosis.storage.media import MediaDamagedError, media_files, media_read
from diagnosis.storage.references import is_referred_to
from webapp.audit.models import AuditEvent
from webapp.audit.triggers import triggers_visible

BATCH = 500
# No upload takes longer from its file to its row: gunicorn ends a request long before.
UPLOAD_ENDS_S = 600.0
LOOK_AGAIN_S = 0.5


def integrity_problems() -> Iterator[str]:
    """One sentence per disagreement, naming the row or file; nothing if all is well.

    The product may be at work meanwhile: what looks wrong is looked at again before it is told.
    """
    yield from _history_problems()
    names: set[str] = set()
    last = 0
    while batch := list(Diagnosis.objects.filter(pk__gt=last).order_by("pk")[:BATCH]):
        last = batch[-1].pk
        names.update(diagnosis.image_name for diagnosis in batch)
        events = _events([str(diagnosis.pk) for diagnosis in batch])
        for diagnosis in batch:
            yield from _lasting_file_problems(
                f"diagnosis {diagnosis.pk}: its image file",
                diagnosis.image_name,
                diagnosis.image_sha256,
            )
            if list(_audit_problems(diagnosis, events[str(diagnosis.pk)])):
                yield from _lasting_audit_problems(diagnosis.pk)
    yield from _events_without_row()
    for report in Report.objects.order_by("pk").iterator(BATCH):
        names.add(report.pdf_name)
        yield from _report_problems(report)
    for case in Case.objects.order_by("pk").iterator(BATCH):
        if list(_case_problems(case)):
            yield from _lasting_case_problems(case.pk)
    for name, path in media_files(older_than_s=UPLOAD_ENDS_S):
        if name not in names and _is_stray(name, path):
            yield f"file {name}: no record refers to it (clean_media removes it)"


def _is_stray(name: str, path: Path) -> bool:
    """An upload touches its file before its row comes: old after the question is old for good."""
    if is_referred_to(name):
        return False
    try:
        return time.time() - path.stat().st_mtime > UPLOAD_ENDS_S
    except FileNotFoundError:  # `clean_media` was here
        return False


def _history_problems() -> Iterator[str]:
    if not triggers_visible():
        user = connection.settings_dict["USER"]
        yield (
            f"triggers: the database user {user} may not see them; run this as the user that "
            "migrates, which has the privilege TRIGGER"
        )
        return
    for name in history_unprotected():
        yield (
            f"trigger {name}: is missing, or is not as this version makes it; `migrate` makes it, "
            "and history is protected again"
        )


def _file_problems(what: str, name: str, sha256: str) -> Iterator[str]:
    try:
        media_read(name, sha256)
    except MediaDamagedError as damage:
        yield f"{what} {damage}"


def _lasting_file_problems(what: str, name: str, sha256: str) -> Iterator[str]:
    """`clean_media` puts a file aside for the moment in which it asks who refers to it."""
    if list(_file_problems(what, name, sha256)):
        time.sleep(LOOK_AGAIN_S)
        yield from _file_problems(what, name, sha256)


def _lasting_audit_problems(pk: int) -> list[str]:
    """Of a diagnosis that stayed what it was while its events were read."""
    while True:
        before = Diagnosis.objects.filter(pk=pk).first()
        if before is None:
            return []  # `_events_without_row` tells
        problems = list(_audit_problems(before, _events([str(pk)])[str(pk)]))
        after = Diagnosis.objects.get(pk=pk)
        if (before.status, before.attempts) == (after.status, after.attempts):
            return problems


def _case_problems(case: Case) -> Iterator[str]:
    """Its status, and whether it is closed, are those of its reports; its headline is one that its
    counts can lead to, whatever number of usable fields was asked for then."""
    what = f"case {case.pk}"
    last = Report.objects.filter(case=case).order_by("-number").first()
    is_signed = case.status in (CaseStatus.SIGNED, CaseStatus.AMENDED)
    if is_signed != (last is not None):
        yield f"{what}: is {case.status}, and has {'a' if last else 'no'} report"
    is_closed = last is not None and not Amendment.objects.filter(report=last).exists()
    if bool(case.closed) != is_closed:
        yield f"{what}: is {'closed' if case.closed else 'open'}, its reports say otherwise"
    found = {case_verdict(case.counts, minimum) for minimum in (1, case.counts.usable + 1)}
    if (case.headline, case.rule) not in {(v.headline.value, v.rule.value) for v in found}:
        yield f"{what}: its headline is not what its fields say"


def _lasting_case_problems(pk: int) -> list[str]:
    """Of a case that stayed what it was while its reports were read."""
    while True:
        before = Case.objects.get(pk=pk)
        problems = list(_case_problems(before))
        after = Case.objects.get(pk=pk)
        if (before.status, before.closed, before.counts) == (
            after.status,
            after.closed,
            after.counts,
        ):
            return problems


def _report_problems(report: Report) -> Iterator[str]:
    """Its file, its content and the signatures under it belong together."""
    what = f"report {report.number} of case {report.case_id}"
    yield from _lasting_file_problems(f"{what}: its PDF", report.pdf_name, report.pdf_sha256)
    if hashlib.sha256(report.content.encode()).hexdigest() != report.content_sha256:
        yield f"{what}: its content has changed since it was signed"
    if not report.signatures.exists():
        yield f"{what}: nobody's signature stands under its content"
    actions = [f"case.{CaseStatus.SIGNED}", f"case.{CaseStatus.AMENDED}"]
    signed = AuditEvent.objects.filter(
        target_type=Case._meta.label_lower, target_id=str(report.case_id), action__in=actions
    ).values_list("detail", flat=True)
    if not any(
        (detail.get("report"), detail.get("pdf_sha256")) == (report.number, report.pdf_sha256)
        for detail in signed
    ):
        yield f"{what}: the audit trail does not say that it was signed"


def _audit_problems(diagnosis: Diagnosis, actions: list[str]) -> Iterator[str]:
    """Each status was reached by exactly the events that lead there, in that order."""
    moves = [action.removeprefix("diagnosis.") for action in actions]
    states = [move for move in moves if move in set(Status)]
    if not states or states[0] != Status.RECEIVED:
        yield f"diagnosis {diagnosis.pk}: the audit trail does not say that it was received"
    elif states[-1] != diagnosis.status:
        yield (
            f"diagnosis {diagnosis.pk}: is {diagnosis.status}, "
            f"the audit trail ends with {states[-1]}"
        )
    results = [state for state in states if state in (Status.SCREENED, Status.REFUSED)]
    if len(results) > 1:
        yield f"diagnosis {diagnosis.pk}: the audit trail holds {len(results)} results"


def _events(ids: list[str]) -> dict[str, list[str]]:
    """Actions of the diagnoses ``ids``, oldest first."""
    grouped: dict[str, list[str]] = defaultdict(list)
    rows = (
        _diagnosis_events()
        .filter(target_id__in=ids)
        .order_by("pk")
        .values_list("target_id", "action")
    )
    for target_id, action in rows:
        grouped[target_id].append(action)
    return grouped


def _events_without_row() -> Iterator[str]:
    received = _diagnosis_events().filter(action="diagnosis.received").order_by("pk")
    for target_id in received.values_list("target_id", flat=True).iterator(BATCH):
        if not Diagnosis.objects.filter(pk=int(target_id)).exists():
            yield f"diagnosis {target_id}: is in the audit trail, its row is gone"


def _diagnosis_events() -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(target_type=Diagnosis._meta.label_lower)
