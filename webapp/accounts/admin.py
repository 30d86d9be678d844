"""Accounts, groups and tokens in Django admin: every change on record, no way to more rights.

Whoever may change accounts could otherwise give themselves any role, or become a superuser. The
rule is ``webapp.accounts.rights``: nobody gives more than they have. An administrator still makes
accounts for people who sign; such an account does no more than the administrator until a superuser
confirms it, so that it takes two people to make one who signs.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from webapp.accounts.rights import (
    account_confirm,
    account_limit,
    covers,
    limited_to,
    may_give,
    names_of,
    permissions_given,
    permissions_of,
)
from webapp.accounts.tokens import token_make, tokens_end
from webapp.audit.reads import ReadAuditedAdmin
from webapp.audit.services import audit_record

RIGHTS = ("groups", "user_permissions", "permissions", "is_superuser", "is_staff", "is_active")
RIGHTS_AND_NAMES = (*RIGHTS, "username", "first_name", "last_name", "email", "name")


class _WriteAuditedAdmin(ReadAuditedAdmin):
    """Where Django admin writes its own log, the audit trail gets its event.

    Admin calls these inside the transaction of the write.
    """

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Django's, and what changed from what to what; Django's pages pass that over."""
        message: Any = super().construct_change_message(request, form, formsets, add)
        values = {
            name: {"old": _value(form.initial.get(name)), "new": _value(form.cleaned_data[name])}
            for name in RIGHTS_AND_NAMES
            if name in form.changed_data and name in form.cleaned_data
        }
        return [*message, {"values": values}] if values else message

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """``<model>.created``."""
        audit_record(
            actor=request.user,
            action=f"{obj._meta.model_name}.created",
            target=obj,
            detail={"changes": message},
        )
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """``<model>.updated``, with the names of the fields, and old and new rights."""
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


def _value(value: Any) -> Any:
    """A form field's value for the audit trail: groups and permissions by name."""
    if isinstance(value, bool | str) or value is None:
        return value
    rows = list(value)
    if rows and isinstance(rows[0], Permission):
        return sorted(names_of(Permission.objects.filter(pk__in=[row.pk for row in rows])))
    return sorted(str(row) for row in rows)


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
        "waits",
    )
    list_filter = ("groups", "is_active", "is_staff", "is_superuser")
    list_select_related = ("password_state__set_by",)
    actions = ("token_renew", "token_remove", "confirm")

    @admin.display(description=gettext_lazy("Roles"))
    def roles(self, user: User) -> str:
        """The groups that the user is in."""
        return ", ".join(group.name for group in user.groups.all())

    @admin.display(description=gettext_lazy("API token"), boolean=True)
    def token(self, user: User) -> bool:
        """Whether there is one; its key is as good as a password and is never shown again."""
        return bool(user.api_tokens.all())

    @admin.display(description=gettext_lazy("Waits for a superuser"))
    def waits(self, user: User) -> str:
        """Who set up an account that a superuser has to confirm."""
        if limited_to(user) is None:
            return ""
        state = user.password_state
        return _("set up by %(name)s") % {"name": state.set_by}

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With what the list shows of each."""
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups", "api_tokens")

    @admin.action(
        description=gettext_lazy("Make a new API token (old ones stop working)"),
        permissions=["token_renew"],
    )
    def token_renew(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Show each key, this once, on a page that is the answer itself: in a message it would
        travel in a cookie."""
        made = []
        for user in self._touchable(request, queryset):
            tokens_end(user, actor=request.user, why="renewed")  # type: ignore[arg-type]
            made.append((user, token_make(user, actor=request.user, name="Django admin")))  # type: ignore[arg-type]
        if not made:
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("New API tokens"),
            "opts": self.opts,
            "made": made,
        }
        response = TemplateResponse(request, "admin/auth/user/tokens.html", context)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    @admin.action(description=gettext_lazy("Remove the API tokens"), permissions=["token_remove"])
    def token_remove(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """What uses them is refused from now on."""
        for user in queryset:
            if self._may_touch(request, user):
                tokens_end(user, actor=request.user, why="removed")  # type: ignore[arg-type]

    @admin.action(
        description=gettext_lazy("Confirm: the account belongs to the person it names"),
        permissions=["confirm"],
    )
    def confirm(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """Let accounts that an administrator set up do all that their roles say."""
        for user in queryset:
            account_confirm(user, by=request.user)  # type: ignore[arg-type]

    def has_token_renew_permission(self, request: HttpRequest) -> bool:
        """For the action above."""
        return request.user.has_perm("accounts.add_apitoken")

    def has_token_remove_permission(self, request: HttpRequest) -> bool:
        """For the action above."""
        return request.user.has_perm("accounts.delete_apitoken")

    def has_confirm_permission(self, request: HttpRequest) -> bool:
        """For the action above."""
        return _is_superuser(request)

    def _touchable(self, request: HttpRequest, users: QuerySet[User]) -> list[User]:
        """Whose tokens may be seen: those of accounts that can do no more than the reader's."""
        found = []
        for user in users:
            if user.pk != request.user.pk and not (
                self._may_touch(request, user) and covers(request.user, permissions_given(user))  # type: ignore[arg-type]
            ):
                text = _("%(user)s may do more than you, so you cannot have a token of theirs.")
                self.message_user(request, text % {"user": user}, messages.ERROR)
            else:
                found.append(user)
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Only a superuser makes superusers or gives single permissions."""
        fixed = tuple(super().get_readonly_fields(request, obj))
        if _is_superuser(request):
            return fixed
        own = ("groups", "is_staff") if obj is not None and obj.pk == request.user.pk else ()
        return (*fixed, "is_superuser", "user_permissions", *own)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Whoever gives a role that goes beyond their own rights limits the account."""
        before = set(form.instance.groups.all())
        super().save_related(request, form, formsets, change)
        added = set(form.instance.groups.all()) - before
        account_limit(form.instance, by=request.user, given=permissions_of(added))  # type: ignore[arg-type]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Also say that a superuser is needed."""
        state = getattr(User.objects.get(pk=obj.pk), "password_state", None)
        if state is not None and state.at_most is not None:
            text = _(
                "%(user)s has rights that you do not have. Until a superuser confirms the account "
                "it can do no more than you."
            )
            self.message_user(request, text % {"user": obj}, messages.WARNING)
        return super().log_change(request, obj, message)

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        """For others; one's own is changed where the old one is asked for."""
        if str(request.user.pk) == id:
            return redirect("admin:password_change")
        response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """A superuser's account, and so its password, is for superusers alone."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """As for changing."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def _may_touch(self, request: HttpRequest, obj: User | None) -> bool:
        return obj is None or not obj.is_superuser or _is_superuser(request)


class RoleAdmin(_WriteAuditedAdmin, GroupAdmin):
    """Groups. Nobody changes one that they are in, or one that may do more than they."""

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """Not one's own, or it could be given any permission."""
        return super().has_change_permission(request, obj) and self._may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        """As for changing."""
        return super().has_delete_permission(request, obj) and self._may_touch(request, obj)

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Permissions that the user may give."""
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "permissions" and not _is_superuser(request):
            mine = may_give(request.user)
            choice = field.queryset.select_related("content_type")
            pks = [
                permission.pk
                for permission in choice
                if f"{permission.content_type.app_label}.{permission.codename}" in mine
            ]
            field.queryset = choice.filter(pk__in=pks)
        return field

    def _may_touch(self, request: HttpRequest, obj: Group | None) -> bool:
        if obj is None or _is_superuser(request):
            return True
        own = obj in request.user.groups.all()
        return not own and covers(request.user, permissions_of([obj]))  # type: ignore[arg-type]


for model, new in ((User, AccountAdmin), (Group, RoleAdmin)):
    admin.site.unregister(model)
    admin.site.register(model, new)
