"""System checks: what an operator should know before the first request."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from diagnosis.errors import ContractError
from diagnosis.imaging.contract import ModelContract
from diagnosis.predictors.store import read_live, version_dir


@register()
def media_root_writable(**kwargs: Any) -> list[CheckMessage]:
    """``diagnosis.E001``: uploads could not be kept."""
    root = Path(settings.MEDIA_ROOT)
    nearest = next(folder for folder in (root, *root.parents) if folder.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK):
        return []
    return [
        Error(
            f"MEDIA_ROOT ({root}) cannot be written.",
            hint="Set MEDIA_ROOT to a folder that this user may write.",
            id="diagnosis.E001",
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
