"""Accounts, groups and tokens in Django admin: every change on record, no way to more rights.

Whoever may change accounts could otherwise give themselves any role, or become a superuser.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.authtoken.models import Token, TokenProxy

from webapp.audit.reads import ReadAuditedAdmin
from webapp.audit.services import audit_record


class _WriteAuditedAdmin(ReadAuditedAdmin):
    """Where Django admin writes its own log, the audit trail gets its event.

    Admin calls these inside the transaction of the write.
    """

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """``<model>.created``."""
        audit_record(actor=request.user, action=f"{obj._meta.model_name}.created", target=obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """``<model>.updated``, with the names of the fields."""
        audit_record(
            actor=request.user,
            action=f"{obj._meta.model_name}.updated",
            target=obj,
            detail={"changes": message},
        )
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> Any:  # type: ignore[override]
        """``<model>.deleted``; called before the rows go."""
        for row in queryset:
            audit_record(actor=request.user, action=f"{row._meta.model_name}.deleted", target=row)
        return super().log_deletions(request, queryset)  # type: ignore[arg-type]


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))


class AccountAdmin(_WriteAuditedAdmin, UserAdmin):  # type: ignore[type-arg]
    """Accounts. Roles are handed out as groups, and nobody hands one to themselves."""

    list_display = (
        "username",
        "first_name",
        "last_name",
        "roles",
        "is_active",
        "is_staff",
        "token",
    )
    list_filter = ("groups", "is_active", "is_staff", "is_superuser")
    actions = ("token_renew", "token_remove")

    @admin.display(description=gettext_lazy("Roles"))
    def roles(self, user: User) -> str:
        """The groups that the user is in."""
        return ", ".join(group.name for group in user.groups.all())

    @admin.display(description=gettext_lazy("API token"), boolean=True)
    def token(self, user: User) -> bool:
        """Whether there is one; its key is as good as a password and is never shown again."""
        return hasattr(user, "auth_token")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With what the list shows of each."""
        users: QuerySet[User] = super().get_queryset(request)
        return users.select_related("auth_token").prefetch_related("groups")

    @admin.action(
        description=gettext_lazy("Make a new API token (an old one stops working)"),
        permissions=["token_renew"],
    )
    def token_renew(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Show each key, this once."""
        for user in self._touchable(request, queryset):
            with transaction.atomic():
                Token.objects.filter(user=user).delete()
                key = Token.objects.create(user=user).key
                audit_record(actor=request.user, action="user.token_made", target=user)
            text = _("The token of %(user)s is %(key)s. It is not shown again.")
            self.message_user(request, text % {"user": user, "key": key}, messages.WARNING)

    @admin.action(description=gettext_lazy("Remove the API token"), permissions=["token_remove"])
    def token_remove(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """What uses it is refused from now on."""
        for user in self._touchable(request, queryset):
            with transaction.atomic():
                gone, _by_model = Token.objects.filter(user=user).delete()
                if gone:
                    audit_record(actor=request.user, action="user.token_removed", target=user)

    def has_token_renew_permission(self, request: HttpRequest) -> bool:
        """For the action above."""
        return request.user.has_perm("authtoken.add_token")

    def has_token_remove_permission(self, request: HttpRequest) -> bool:
        """For the action above."""
        return request.user.has_perm("authtoken.delete_token")

    def _touchable(self, request: HttpRequest, users: QuerySet[User]) -> list[User]:
        return [user for user in users if self._may_touch(request, user)]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only a superuser makes superusers or gives single permissions."""
        fixed = tuple(super().get_readonly_fields(request, obj))
        if _is_superuser(request):
            return fixed
        own = ("groups", "is_staff") if obj is not None and obj.pk == request.user.pk else ()
        return (*fixed, "is_superuser", "user_permissions", *own)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser's account, and so its password, is for superusers alone."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """As for changing."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or _is_superuser(request)


class RoleAdmin(_WriteAuditedAdmin, GroupAdmin):
    """Groups. Nobody changes one that they are in."""

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Not one's own, or it could be given any permission."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """As for changing."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, obj: Group | None) -> bool:
        own = obj is not None and obj in request.user.groups.all()
        return not own or _is_superuser(request)


for model, new in ((User, AccountAdmin), (Group, RoleAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, new)
# Its pages show keys, which are as good as passwords; `AccountAdmin` tells one once.
admin.site.unregister(TokenProxy)
