"""One specimen with its fields: the unit that people review and sign."""

from typing import Any, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import pgettext_lazy

from diagnosis.core.aggregate import FieldCounts, Rule
from diagnosis.core.state import CASE_ALLOWED, CaseHeadline, CaseStatus
from diagnosis.models.diagnosis import ReadOnlyResultError
from diagnosis.models.labels import choices

_CLOSED = frozenset({CaseStatus.SIGNED, CaseStatus.AMENDED})


class Priority(models.IntegerChoices):
    """How soon somebody is to look; FHIR's request priorities that laboratories use."""

    STAT = 1, pgettext_lazy("priority", "Stat")
    URGENT = 2, pgettext_lazy("priority", "Urgent")
    ROUTINE = 3, pgettext_lazy("priority", "Routine")


class CaseQuerySet(models.QuerySet["Case"]):
    """Reads, inserts, and the one way a status moves."""

    def move(self, current: CaseStatus, to: CaseStatus) -> bool:
        """Set ``to`` on the cases that are still ``current``; say if any was.

        Raises:
            ReadOnlyResultError: the transition is not in ``state.CASE_ALLOWED``.
        """
        if to not in CASE_ALLOWED[current]:
            raise ReadOnlyResultError(f"A {current} case does not become {to}.")
        rows = self.filter(status=current)
        return models.QuerySet.update(rows, status=to, closed=int(to in _CLOSED)) > 0

    def reopen(self) -> bool:
        """Put a signed case back on the list for an amendment; its status stays until the next
        signature. Says whether any was closed."""
        return models.QuerySet.update(self.filter(closed=1), closed=0) > 0

    def update(self, **kwargs: Any) -> int:
        """As Django's, for what is no status.

        Raises:
            ReadOnlyResultError: ``status`` is among ``kwargs``; use ``move``.
        """
        if {"status", "closed"} & kwargs.keys():
            raise ReadOnlyResultError("A case's status changes only through its services.")
        return super().update(**kwargs)

    def delete(self) -> NoReturn:
        """Refused: records are kept."""
        raise ReadOnlyResultError("Cases are never deleted.")


class Case(models.Model):
    """A specimen on the work list.

    What the list shows and sorts by is kept here, so that a page of it costs the same whatever
    else there is: ``cases.case_refresh`` counts again whenever a field or a review changes.
    """

    specimen = models.OneToOneField(
        "patients.Specimen", on_delete=models.PROTECT, related_name="case"
    )
    status = models.CharField(
        max_length=16, choices=choices(CaseStatus), default=CaseStatus.NEW.value
    )
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.ROUTINE)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
    )

    headline = models.CharField(
        max_length=16, choices=choices(CaseHeadline), default=CaseHeadline.INDETERMINATE.value
    )
    rule = models.CharField(max_length=24, choices=choices(Rule), default=Rule.TOO_FEW_FIELDS)
    # The list sorts by these two. closed: signed and not being amended, 1 or 0. calm: 0 if somebody
    # has to look at it (suspicious, indeterminate), else 1.
    closed = models.PositiveSmallIntegerField(default=0)
    calm = models.PositiveSmallIntegerField(default=0)
    suspicious = models.PositiveIntegerField(default=0)
    indeterminate = models.PositiveIntegerField(default=0)
    not_suspicious = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    reviewed = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField(auto_now_add=True)

    concealed = False  # no column: ``blinding.conceal_cases`` has taken the headline from this row

    objects = CaseQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["closed", "calm", "priority", "created_at", "id"], name="case_worklist"
            ),
            models.Index(
                fields=["closed", "priority", "created_at", "id"], name="case_worklist_blinded"
            ),
            models.Index(fields=["assignee", "status"], name="case_assignee"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in CaseStatus]),
                name="case_status_known",
            ),
            models.CheckConstraint(
                condition=Q(priority__in=Priority.values), name="case_priority_known"
            ),
        ]

    def __str__(self) -> str:
        return f"Case {self.pk}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: records are kept."""
        raise ReadOnlyResultError("Cases are never deleted.")

    @property
    def counts(self) -> FieldCounts:
        """Its fields by what became of them."""
        names = FieldCounts.__dataclass_fields__
        return FieldCounts(**{name: getattr(self, name) for name in names})
