"""Reading patients and specimens; nothing here writes.

Words of a search are folded (``patients.folding``) and looked for by ``contains``, which compares
bytes on MySQL: what is found does not depend on a collation.
"""

from django.core.exceptions import ValidationError
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from patients.folding import SEARCH_LENGTH, SEARCH_WORDS, words
from patients.models import Patient, Specimen
from webapp.keyset import behind, first_of

FEW = 1000  # rows that the database sorts in no time


def validate_search(search: str) -> None:
    """Refuse a search of more words than a database takes in one question.

    Raises:
        ValidationError: ``too_much``, with a sentence that says how much is taken.
    """
    if len(search) > SEARCH_LENGTH or len(words(search)) > SEARCH_WORDS:
        raise ValidationError(
            _("Search for at most %(words)d words and %(length)d characters."),
            "too_much",
            {"words": SEARCH_WORDS, "length": SEARCH_LENGTH},
        )


def patient_list(*, search: str = "") -> QuerySet[Patient]:
    """Patients by name, each with ``specimen_count``.

    Args:
        search: words that must all occur, each in the record number, the name or an
            accession number of the patient; empty for everybody. Whoever takes it from outside
            asks ``validate_search`` first.
    """
    # Counted for the rows of one page alone; a join would group all patients there are.
    counted = Specimen.objects.filter(patient=OuterRef("pk")).order_by().values("patient")
    specimen_count = Coalesce(Subquery(counted.values(number=Count("pk"))), 0)
    patients = Patient.objects.annotate(specimen_count=specimen_count).order_by("name", "id")
    for word in words(search):
        # Each table is read by itself: looking up the other for every row takes ten times as long.
        specimens = Specimen.objects.filter(_has_number(word)).order_by()
        patients = patients.filter(
            Q(searched__contains=word) | Q(pk__in=specimens.values("patient"))
        )
    return patients


def patients_page(*, search: str, after: int | None, size: int) -> tuple[list[Patient], bool]:
    """The next ``size`` of ``patient_list`` by name, and whether more follow.

    Args:
        after: id of the last patient of the page before (a name would stand in addresses); one
            that is not there, or no more, begins at the beginning.
    """
    rows = patient_list(search=search)
    if search:
        # Few are found soonest in no order; walking the names in order would visit every row.
        ids = list(rows.order_by().values_list("pk", flat=True)[: FEW + 1])
        rows = patient_list().filter(pk__in=ids) if len(ids) <= FEW else rows
    last = Patient.objects.filter(pk=after).first() if after is not None else None
    if last is not None:
        rows = rows.filter(behind({"name": last.name, "pk": last.pk}))
    return first_of(rows, size)


def specimen_list(*, search: str = "", patient_id: int | None = None) -> QuerySet[Specimen]:
    """Specimens, newest first, with their patients.

    Args:
        search: words that must all occur, each in the accession number or in the patient's
            record number or name; empty for all.
        patient_id: only this patient's.
    """
    specimens = Specimen.objects.select_related("patient")
    if patient_id is not None:
        specimens = specimens.filter(patient_id=patient_id)
    for word in words(search):
        patients = Patient.objects.filter(searched__contains=word).order_by()
        specimens = specimens.filter(_has_number(word) | Q(patient__in=patients.values("pk")))
    return specimens


def specimens_found(search: str, *, limit: int) -> tuple[list[int], bool]:
    """Ids of the newest ``limit`` specimens that a search finds, and whether there are more.

    For lists of what belongs to specimens: a list of ids is looked up in an index, where a search
    within the list's own query would be tried on every row.

    Args:
        search: as in ``specimen_list``.
    """
    found = specimen_list(search=search).order_by("-id").values_list("pk", flat=True)
    return first_of(found, limit)


def words_of_specimen(search: str, specimen: str) -> Q:
    """That every word of ``search`` occurs in what ``specimen_list`` looks through.

    For searches that find many: with the specimens and patients of the rows joined anyhow, the
    first page is soon full.

    Args:
        specimen: the field that leads to the specimen.
    """
    which = Q()
    for word in words(search):
        which &= Q(**{f"{specimen}__patient__searched__contains": word}) | _has_number(
            word, f"{specimen}__"
        )
    return which


def _has_number(word: str, of: str = "") -> Q:
    """That a folded word occurs in an accession number, which is kept in upper case."""
    return Q(**{f"{of}accession_number__contains": word.upper()})
