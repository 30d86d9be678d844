"""System checks: what an operator should know before the first request."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections

from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.store import read_live, version_dir
from diagnosis.operations.backup.marker import marked
from diagnosis.storage.media import media_is_writable


@register()
def media_root_writable(**kwargs: Any) -> list[CheckMessage]:
    """``diagnosis.E001``: uploads could not be kept."""
    if media_is_writable():
        return []
    return [
        Error(
            f"MEDIA_ROOT ({settings.MEDIA_ROOT}) cannot be written.",
            hint="Set MEDIA_ROOT to a folder that this user may write.",
            id="diagnosis.E001",
        )
    ]


@register()
def restore_has_ended(**kwargs: Any) -> list[CheckMessage]:
    """``diagnosis.E003``: records may be half the old ones and half a backup's."""
    if marked() is None:
        return []
    return [
        Error(
            "A restore was cut off, or is still running.",
            hint="Wait for it, or run the same `manage.py restore` again, which completes it.",
            id="diagnosis.E003",
        )
    ]


@register()
def model_is_live(**kwargs: Any) -> list[CheckMessage]:
    """``diagnosis.W001``: uploads would wait for a model."""
    try:
        live = read_live(settings.MODEL_STORE, settings.MODEL_NAME)
        ModelContract.load(version_dir(settings.MODEL_STORE, settings.MODEL_NAME, live.stable))
    except ContractError as error:
        return [
            Warning(
                str(error),
                hint="Uploads are kept and wait until a version is promoted.",
                id="diagnosis.W001",
            )
        ]
    return []


@register(Tags.database)
def database_holds_unicode(databases: Sequence[str] | None = None, **kwargs: Any) -> list[Error]:
    """``diagnosis.E002``: names in other scripts could not be stored, nor even looked up.

    Asked by ``migrate``, before there are tables to convert.
    """
    return [
        error
        for alias in databases or []
        if connections[alias].vendor == "mysql"
        for error in _character_set_errors(alias)
    ]


def _character_set_errors(alias: str) -> list[Error]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT DATABASE(), @@character_set_database")
        name, found = cursor.fetchone()
    if found == "utf8mb4":
        return []
    return [
        Error(
            f"The MySQL database {name} keeps text as {found}.",
            hint=f"Run `ALTER DATABASE {name} CHARACTER SET utf8mb4` before the first `migrate`.",
            id="diagnosis.E002",
        )
    ]
