"""A person's own views of the work list: save and delete; to rename one, save it anew."""

from django.contrib.auth.models import User
from django.db import transaction
from django.utils.translation import gettext as _

from diagnosis.models import SavedView
from patients.folding import folded
from webapp.audit.services import audit_record
from webapp.domain_error import DomainError

VIEWS_ALLOWED = 20


class SavedViewError(DomainError):
    """A view cannot be saved; says what has to be done first."""


def views_of(user: User) -> list[SavedView]:
    """A person's saved views, by name."""
    return list(SavedView.objects.filter(user=user))


def view_save(*, actor: User, name: str, query: str) -> SavedView:
    """Keep a view under a name of its own. The event names neither: a search may name a patient.

    Raises:
        SavedViewError: the name is taken, or there are ``VIEWS_ALLOWED`` views already.
    """
    with transaction.atomic():
        User.objects.select_for_update().get(pk=actor.pk)  # two tabs must not both be the last
        own = SavedView.objects.filter(user=actor)
        # MySQL's constraint knows neither case nor accents, SQLite's does: the same on both.
        if folded(name) in [folded(view.name) for view in own]:
            raise SavedViewError(
                "name_taken",
                _("You have a view of this name: delete it first, or choose another name."),
            )
        if own.count() >= VIEWS_ALLOWED:
            raise SavedViewError(
                "too_many",
                _("You have %(count)d saved views: delete one that you no longer need.")
                % {"count": VIEWS_ALLOWED},
            )
        view = SavedView.objects.create(user=actor, name=name, query=query)
        audit_record(actor=actor, action="savedview.created", target=view)
    return view


def view_delete(*, actor: User, view: SavedView) -> None:
    """Be rid of a view."""
    with transaction.atomic():
        audit_record(actor=actor, action="savedview.deleted", target=view)
        view.delete()
