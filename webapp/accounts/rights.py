"""Nobody gives more than they have.

Who keeps accounts could otherwise make one that may do anything, and use it. The one exception is
``settings.HANDED_OUT``: what an administrator gives without having it.
"""

from collections.abc import Iterable

from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Q, QuerySet

from webapp.accounts.models import PasswordState
from webapp.accounts.tokens import tokens_end
from webapp.audit.services import audit_record


def names_of(permissions: QuerySet[Permission]) -> set[str]:
    """``<app>.<codename>`` of each."""
    pairs = permissions.values_list("content_type__app_label", "codename").order_by()
    return {f"{app}.{codename}" for app, codename in pairs}


def permissions_given(user: User) -> set[str]:
    """What the user's roles say, whether or not the account is limited or closed."""
    return names_of(Permission.objects.filter(Q(group__user=user) | Q(user=user)))


def permissions_of(groups: Iterable[Group]) -> set[str]:
    """What members of any of the groups may do."""
    return names_of(Permission.objects.filter(group__in=list(groups)))


def may_give(user: User) -> set[str]:
    """Permissions that the user can let others have; a superuser is not asked."""
    return user.get_all_permissions() | set(settings.HANDED_OUT)


def covers(user: User, permissions: set[str]) -> bool:
    """Whether the user can let others have all of these."""
    return user.is_superuser or permissions <= may_give(user)


def account_limit(account: User, *, by: User, given: set[str]) -> None:
    """Limit an account to what ``by`` may give, if it was given more.

    Its tokens end with that: a role that is confirmed later must not be met by one of them.

    Args:
        given: permissions that ``by`` gave, or gave access to.
    """
    if covers(by, given):
        return
    PasswordState.objects.update_or_create(
        user=account, defaults={"at_most": sorted(may_give(by)), "set_by": by}
    )
    tokens_end(account, actor=by, why="limited until a superuser confirms the account")
    audit_record(actor=by, action="user.limited", target=account)


def account_confirm(account: User, *, by: User) -> bool:
    """End the limit: a superuser knows whose account it is. Gives whether there was one."""
    ended = PasswordState.objects.filter(user=account, at_most__isnull=False).update(at_most=None)
    if ended:
        audit_record(actor=by, action="user.confirmed", target=account)
    return bool(ended)


def limited_to(user: User) -> set[str] | None:
    """Permissions that the account does not go beyond; ``None`` is no limit."""
    state = getattr(user, "password_state", None)
    return None if state is None or state.at_most is None else set(state.at_most)
