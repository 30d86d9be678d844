"""What admins share: reads leave events, and no crafted address is an error of the server."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from webapp.audit.services import audit_record, listing_record


class SoundChangeList(ChangeList):
    """A list whose filters come from the address, which anybody can write by hand."""

    def get_results(self, request: HttpRequest) -> None:
        """As Django's; a filter that no database could answer is told like one that is unknown.

        Django looks at values when it makes the query; some fail only when it is asked: a year
        outside the calendar, a number beyond the column, a broken regular expression.
        """
        try:
            super().get_results(request)
        except (ArithmeticError, LookupError, TypeError, ValueError, DatabaseError) as error:
            if not self.filter_params and not self.query:
                raise  # nobody's filter is to blame
            raise IncorrectLookupParameters(error) from error


class ReadAuditedAdmin(admin.ModelAdmin[Any]):
    """Opening a row, its history or a list leaves an event."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """One that bears crafted filters."""
        return SoundChangeList

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """As Django's, without values that a field cannot hold."""
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        return {name: value for name, value in given.items() if self._may_stand(name, value)}

    def _may_stand(self, name: str, value: Any) -> bool:
        fields = {field.name: field for field in self.model._meta.concrete_fields}
        if name not in fields:
            return True
        try:
            if other := fields[name].related_model:
                return bool(other._default_manager.filter(pk=value).exists())
            return fields[name].to_python(value) is value  # a text; a form reads no other in here
        except (ArithmeticError, ValueError, ValidationError):
            return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """As Django's; ``<model>.listed`` names the rows that were shown."""
        response = super().changelist_view(request, extra_context)
        shown = getattr(response, "context_data", None) or {}
        if "cl" in shown:
            listing_record(actor=request.user, rows=shown["cl"].result_list)
        return response

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """As Django's; ``<model>.history_viewed``."""
        response = super().history_view(request, object_id, extra_context)
        if row := (getattr(response, "context_data", None) or {}).get("object"):
            name = row._meta.model_name
            audit_record(actor=request.user, action=f"{name}.history_viewed", target=row)
        return response

    def render_change_form(
        self,
        request: HttpRequest,
        context: Any,
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """As Django's, and a form shown again after an error is no further read."""
        if obj is not None and request.method == "GET":
            audit_record(actor=request.user, action=f"{obj._meta.model_name}.viewed", target=obj)
        return super().render_change_form(request, context, add, change, form_url, obj)


class ReadOnlyAdmin(admin.ModelAdmin[Any]):
    """Nobody adds, changes or deletes a row here, superusers included."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False
