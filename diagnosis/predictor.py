"""Which predictor answers: the version that ``live.json`` says, loaded once per process."""

import threading
from dataclasses import dataclass

from django.conf import settings

from diagnosis.errors import ContractError
from diagnosis.predictors.base import Predictor
from diagnosis.predictors.embedded import EmbeddedPredictor
from diagnosis.predictors.store import live_path, read_live, version_dir

_Stamp = tuple[str, int, int]


@dataclass(frozen=True)
class _Loaded:
    """The predictor that was made from one state of ``live.json``."""

    stamp: _Stamp
    predictor: Predictor


_lock = threading.Lock()
_loaded: _Loaded | None = None


def stable_predictor() -> Predictor:
    """The predictor of the stable version.

    ``live.json`` is looked at on every call (one ``stat``), so a promotion takes effect
    without a restart; requests in flight finish on the version they began with.

    Raises:
        ContractError: no version is live, or the live one cannot be loaded.
    """
    global _loaded
    stamp = _live_stamp()
    loaded = _loaded
    if loaded is None or loaded.stamp != stamp:
        with _lock:
            loaded = _loaded
            if loaded is None or loaded.stamp != stamp:
                live = read_live(settings.MODEL_STORE, settings.MODEL_NAME)
                folder = version_dir(settings.MODEL_STORE, settings.MODEL_NAME, live.stable)
                loaded = _loaded = _Loaded(stamp, EmbeddedPredictor(folder))
    return loaded.predictor


def _live_stamp() -> _Stamp:
    """What changes whenever ``live.json`` is replaced."""
    path = live_path(settings.MODEL_STORE, settings.MODEL_NAME)
    try:
        found = path.stat()
    except OSError as error:
        raise ContractError(
            f"{path} cannot be read ({error.strerror}): promote a version with "
            "`python -m export promote N`."
        ) from error
    return str(path), found.st_ino, found.st_mtime_ns
