"""The work list's filters, and the name under which they are saved.

An address of the work list holds what ``WorklistForm.query`` gives: the same filters always make
the same address, so that a view, built in or saved, is known again when it is the one on show.
"""

from datetime import date
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.cases.selectors import ANY, CLOSED, MINE, NOBODY, OPEN, CaseFilter, views_offered
from diagnosis.models import Case, Priority, SavedView
from patients.forms import DateInput
from patients.selectors import validate_search
from webapp.text.clock import EARLIEST_DAY, LATEST_DAY

_OPEN, _ANY = (OPEN, _("Open")), (ANY, _("Any"))
STATUSES = [
    *(Case._meta.get_field("status").choices or ()),
    (CLOSED, _("Signed, amended or not")),
]
ASSIGNEES = [("", _("Any")), (MINE, _("Me")), (NOBODY, _("Nobody"))]


class DayField(forms.DateField):
    """A day that a database and a calendar both know."""

    def __init__(self, *, label: Any) -> None:
        bounds = {"min": EARLIEST_DAY.isoformat(), "max": LATEST_DAY.isoformat()}
        super().__init__(required=False, label=label, widget=DateInput(attrs=bounds))

    def validate(self, value: date | None) -> None:
        """Refuse what is a slip of the keys."""
        super().validate(value)
        if value is not None and not EARLIEST_DAY <= value <= LATEST_DAY:
            raise ValidationError(
                gettext("Choose a day between %(first)d and %(last)d; check the year."),
                "implausible",
                {"first": EARLIEST_DAY.year, "last": LATEST_DAY.year},
            )


class WorklistForm(forms.Form):
    """Which cases are shown: a filter left empty does not narrow the list, the rest combines.

    What cannot be read narrows nothing either, and is marked at its field.
    """

    search = forms.CharField(required=False, max_length=200, label=_("Search"))
    status = forms.ChoiceField(required=False, label=_("Status"), choices=[_OPEN, *STATUSES, _ANY])
    priority = forms.TypedChoiceField(
        required=False,
        label=_("Priority"),
        choices=[("", _("Any")), *Priority.choices],
        coerce=int,
        empty_value=None,
    )
    headline = forms.ChoiceField(
        required=False,
        label=_("Software says"),
        choices=[("", _("Anything")), *(Case._meta.get_field("headline").choices or ())],
    )
    assignee = forms.ChoiceField(required=False, label=_("Assignee"), choices=ASSIGNEES)
    received_from = DayField(label=_("Received from"))
    received_to = DayField(label=_("Received to"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.BLINDED_FIRST_READ:  # what matches would tell what the software says
            del self.fields["headline"]

    @classmethod
    def asked(cls, sent: QueryDict) -> "WorklistForm":
        """The form of an address; ``show`` names a built-in view, which other filters amend."""
        view = views_offered().get(sent.get("show", ""))
        form = cls({**(view.query if view else {}), **sent.dict()}, label_suffix="")
        form.is_valid()
        # An empty status means what it says: a search looks for any, the list shows what is open.
        usual, other = (_ANY, _OPEN) if form.cleaned_data.get("search") else (_OPEN, _ANY)
        form.fields["status"].widget.choices = [("", usual[1]), other, *STATUSES]
        return form

    @property
    def filters(self) -> list[forms.BoundField]:
        """All fields but the search."""
        return [self[name] for name in self.fields if name != "search"]

    @property
    def narrowing(self) -> int:
        """How many filters are set."""
        return sum(bool(self.cleaned_data.get(field.name)) for field in self.filters)

    def clean_search(self) -> str:
        """At most so many words."""
        search: str = self.cleaned_data["search"]
        validate_search(search)
        return search

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins; drop a status that goes without saying."""
        sent = super().clean() or self.cleaned_data
        if sent.get("status") == (ANY if sent.get("search") else OPEN):
            sent["status"] = ""
        first, last = sent.get("received_from"), sent.get("received_to")
        if first and last and last < first:
            self.add_error("received_to", gettext("This is before the first day; correct one."))
        return sent

    def wanted(self) -> CaseFilter:
        """What is set."""
        return CaseFilter(**{name: value for name, value in self.cleaned_data.items() if value})

    def query(self) -> str:
        """What is set, as in an address; in the order of the fields."""
        return urlencode(
            {name: self.cleaned_data[name] for name in self.fields if self.cleaned_data.get(name)}
        )


class SavedViewForm(forms.Form):
    """A name for the filters that ``query`` holds."""

    name = SavedView._meta.get_field("name").formfield(label=_("Name of the view"))
    query = forms.CharField(
        max_length=SavedView._meta.get_field("query").max_length, widget=forms.HiddenInput
    )

    def clean_name(self) -> str:
        """As it will be stored."""
        return str(SavedView._meta.get_field("name").to_python(self.cleaned_data["name"]))

    def clean_query(self) -> str:
        """The filters alone, as the work list itself would write them."""
        query = WorklistForm.asked(QueryDict(self.cleaned_data["query"])).query()
        if not query:
            raise ValidationError(gettext("Set a filter or search for something first."))
        return query
