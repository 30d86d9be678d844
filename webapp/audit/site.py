"""Django admin as a whole: what it shows outside of any model's own pages is audited too."""

from typing import Any, cast

from django.contrib.admin import AdminSite
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.http import HttpRequest, HttpResponse

from webapp.audit.services import listing_record


class _Suggestions(AutocompleteJsonView):
    """Rows that fit what was typed into a field: a list like any other."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """As Django's; ``<model>.listed`` names the rows."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        listing_record(actor=self.request.user, rows=context["object_list"])
        return context


class Administration(AdminSite):
    """The site at /admin/."""

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        """Suggestions for a field that names another row."""
        return cast(HttpResponse, _Suggestions.as_view(admin_site=self)(request))
