"""Patients and their specimens; what must hold of them holds in the database."""

from datetime import UTC, date, datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from patients.fields import FoldedField, IdentifierField, LineField
from webapp.text.clock import EARLIEST_DAY, on_clock
from webapp.text.typed import isolated

EARLIEST_BIRTH = EARLIEST_DAY
EARLIEST_TIME = datetime(EARLIEST_DAY.year, 1, 1, tzinfo=UTC)
# Clocks of the laboratory's machines differ by seconds; a specimen that a scanner stamps
# "just now" must not be refused.
CLOCK_TOLERANCE = timedelta(minutes=5)


class Sex(models.TextChoices):
    """Administrative sex: the codes of FHIR's administrative-gender."""

    FEMALE = "female", _("Female")
    MALE = "male", _("Male")
    OTHER = "other", pgettext_lazy("sex", "Other")
    UNKNOWN = "unknown", pgettext_lazy("sex", "Unknown")


class Stain(models.TextChoices):
    """Romanowsky stains in common use for blood and marrow films."""

    WRIGHT_GIEMSA = "wright-giemsa", _("Wright-Giemsa")
    MAY_GRUNWALD_GIEMSA = "may-grunwald-giemsa", _("May-Grünwald-Giemsa")
    LEISHMAN = "leishman", _("Leishman")
    WRIGHT = "wright", _("Wright")
    GIEMSA = "giemsa", _("Giemsa")
    OTHER = "other", pgettext_lazy("stain", "Other")
    UNKNOWN = "unknown", _("Not stated")


class Site(models.TextChoices):
    """Where the specimen was taken from."""

    PERIPHERAL_BLOOD = "peripheral-blood", _("Peripheral blood")
    BONE_MARROW_ASPIRATE = "bone-marrow-aspirate", _("Bone marrow aspirate")
    OTHER = "other", pgettext_lazy("site", "Other")
    UNKNOWN = "unknown", _("Not stated")


class Objective(models.TextChoices):
    """Magnification of the objective that the fields were photographed through."""

    X100 = "100x", _("100×, oil immersion")
    X63 = "63x", _("63×")
    X60 = "60x", _("60×")
    X50 = "50x", _("50×, oil immersion")
    X40 = "40x", _("40×")
    OTHER = "other", pgettext_lazy("objective", "Other")
    UNKNOWN = "unknown", _("Not stated")


def validate_past_date(value: date) -> None:
    """Refuse a date after today."""
    if value > timezone.localdate():
        raise ValidationError(
            _("This date is in the future; check the day and the year."), "future"
        )


def validate_past_time(value: datetime) -> None:
    """Refuse a time that has not come yet."""
    if value > timezone.now() + CLOCK_TOLERANCE:
        zone = timezone.get_current_timezone_name()
        raise ValidationError(
            _("This time is in the future; check the date, and that the time is in %(zone)s."),
            "future",
            {"zone": zone},
        )


def validate_plausible_time(value: datetime) -> None:
    """Refuse a time that is a slip of the keys, such as the year 26."""
    if value < EARLIEST_TIME:
        raise ValidationError(_("This time is before 1900; check the year."), "implausible")


class Patient(models.Model):
    """A person. Deleting one deletes its specimens, unless a diagnosis refers to them.

    Attributes:
        is_demonstration: no person at all: every field was drawn by the software. Said once, when
            the row is made, and on every page, report and answer of the API that shows it.
        DEMONSTRATION: the words for it.
    """

    DEMONSTRATION = _("Demonstration · drawn, not a patient")

    medical_record_number = IdentifierField(
        max_length=64,
        unique=True,
        validators=[
            RegexValidator(
                r"^[ -~]*\Z",
                _("Use unaccented letters, digits and punctuation only."),
                "characters",
            )
        ],
        error_messages={"unique": _("Another patient already has this medical record number.")},
        help_text=_("Unique in the laboratory; upper and lower case are the same."),
    )
    name = LineField(max_length=200)
    date_of_birth = models.DateField(
        null=True,
        blank=True,
        validators=[
            MinValueValidator(EARLIEST_BIRTH, _("This date is before 1900; check the year.")),
            validate_past_date,
        ],
        help_text=_("Leave empty if unknown."),
    )
    sex = models.CharField(max_length=7, choices=Sex, default=Sex.UNKNOWN)
    is_demonstration = models.BooleanField(
        default=False, editable=False, help_text="No person: drawn by the software."
    )
    searched = FoldedField(of=("medical_record_number", "name"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name", "id"]
        indexes = [
            models.Index(fields=["name", "id"], name="patient_name"),
            models.Index(fields=["searched"], name="patient_searched"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(medical_record_number=""), name="patient_record_number_not_empty"
            ),
            models.CheckConstraint(condition=~Q(name=""), name="patient_name_not_empty"),
            models.CheckConstraint(
                condition=Q(date_of_birth__isnull=True) | Q(date_of_birth__gte=EARLIEST_BIRTH),
                name="patient_born_since_1900",
            ),
            models.CheckConstraint(condition=Q(sex__in=Sex.values), name="patient_sex"),
        ]

    def __str__(self) -> str:
        return f"{isolated(self.name)} ({isolated(self.medical_record_number)})"

    def get_absolute_url(self) -> str:
        """The patient's page, which lists the specimens and their diagnoses."""
        return reverse("patient_detail", args=[self.pk])

    def clean(self) -> None:
        """Refuse a date of birth after a specimen of this patient; an unchanged one stays."""
        born = self.date_of_birth
        if not self.pk or born is None:
            return
        if Patient.objects.filter(pk=self.pk, date_of_birth=born).exists():
            return
        for specimen in Specimen.objects.filter(patient=self.pk):
            if specimen.is_before(born):
                raise ValidationError(
                    {
                        "date_of_birth": ValidationError(
                            _(
                                "Specimen %(number)s of this patient was collected or received "
                                "before this day; correct one of the two."
                            ),
                            params={"number": isolated(specimen)},
                        )
                    }
                )


class Specimen(models.Model):
    """A smear of one patient, known by the accession number the laboratory gave it."""

    accession_number = IdentifierField(
        max_length=64,
        unique=True,
        # It stands in addresses (/specimens/…), so it is one URL segment and never "." or "..".
        validators=[
            RegexValidator(
                r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z",
                _(
                    "Use letters, digits, full stop, hyphen and underscore, "
                    "beginning with a letter or digit."
                ),
                "characters",
            )
        ],
        error_messages={"unique": _("Another specimen already has this accession number.")},
        help_text=_("Unique in the laboratory; upper and lower case are the same."),
    )
    patient = models.ForeignKey(Patient, on_delete=models.CASCADE, related_name="specimens")
    collected_at = models.DateTimeField(
        null=True, blank=True, validators=[validate_plausible_time, validate_past_time]
    )
    received_at = models.DateTimeField(
        null=True, blank=True, validators=[validate_plausible_time, validate_past_time]
    )
    stain = models.CharField(max_length=20, choices=Stain, default=Stain.UNKNOWN)
    site = models.CharField(max_length=20, choices=Site, default=Site.UNKNOWN)
    objective = models.CharField(max_length=8, choices=Objective, default=Objective.UNKNOWN)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(accession_number=""), name="specimen_accession_not_empty"
            ),
            models.CheckConstraint(
                condition=Q(collected_at__isnull=True)
                | Q(received_at__isnull=True)
                | Q(received_at__gte=F("collected_at")),
                name="specimen_received_after_collected",
            ),
            models.CheckConstraint(
                condition=Q(stain__in=Stain.values),
                name="specimen_stain",
            ),
            models.CheckConstraint(
                condition=Q(site__in=Site.values),
                name="specimen_site",
            ),
            models.CheckConstraint(
                condition=Q(objective__in=Objective.values), name="specimen_objective"
            ),
        ]

    def __str__(self) -> str:
        return str(self.accession_number)

    def get_absolute_url(self) -> str:
        """The specimen's page, which lists its fields and their diagnoses."""
        return reverse("specimen_detail", args=[self.accession_number])

    def clean(self) -> None:
        """Say at the field what the database would refuse."""
        if self.collected_at and self.received_at and self.received_at < self.collected_at:
            raise ValidationError(
                {"received_at": _("The specimen is received before it is collected; correct one.")}
            )
        if self.patient_id:
            self._refuse_times_before_birth()
        if self.pk and self.patient_id and self._crosses_demonstration():
            raise ValidationError(
                _(
                    "Drawn fields never come into a patient's record, nor a patient's fields into "
                    "the demonstration; leave the specimen where it is."
                ),
                "demonstration",
            )

    def is_before(self, day: date) -> bool:
        """Whether it was collected or received before ``day``, in the laboratory's time zone."""
        times = [at for at in (self.collected_at, self.received_at) if at is not None]
        return any(on_clock(at).date() < day for at in times)

    def _refuse_times_before_birth(self) -> None:
        born = self.patient.date_of_birth
        if born is None or not self.is_before(born):
            return
        collected = self.collected_at is not None and on_clock(self.collected_at).date() < born
        raise ValidationError(
            {
                "collected_at" if collected else "received_at": _(
                    "This is before the patient was born; correct it, or the date of birth."
                )
            }
        )

    def _crosses_demonstration(self) -> bool:
        """Whether it would move from the demonstration to a patient, or back."""
        before = Patient.objects.filter(specimens=self.pk).first()
        return before is not None and before.is_demonstration != self.patient.is_demonstration
