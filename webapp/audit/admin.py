"""The audit trail in Django admin, and what other admins need to keep it."""

from django.contrib import admin

from webapp.audit.models import AuditEvent
from webapp.audit.reads import ReadAuditedAdmin, ReadOnlyAdmin

__all__ = ["AuditEventAdmin", "ReadAuditedAdmin", "ReadOnlyAdmin"]


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin, ReadAuditedAdmin):
    """Audit events, newest first.

    Its days are found by bounds that are computed here: by date in SQL (``date_hierarchy``)
    MariaDB and MySQL answer only with the time-zone tables, which few installations load.
    """

    list_display = ("at", "actor", "action", "target_type", "target_id", "request_id")
    list_filter = ("at", "action", "target_type")
    search_fields = ("=target_id", "=request_id", "=actor__username")
    show_full_result_count = False
    list_select_related = ("actor",)
