"""The audit trail in Django admin, and what other admins need to keep it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from webapp.audit.models import AuditEvent
from webapp.audit.services import audit_record


class ReadAuditedAdmin(admin.ModelAdmin[Any]):
    """Opening a row leaves a ``<model>.viewed`` event."""

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


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Audit events, newest first."""

    list_display = ("at", "actor", "action", "target_type", "target_id", "request_id")
    list_filter = ("action", "target_type")
    search_fields = ("=target_id", "=request_id", "=actor__username")
    date_hierarchy = "at"
    list_select_related = ("actor",)
