"""Which predictor answers: the versions that ``live.json`` names, loaded once per process."""

import logging
import threading
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings

from diagnosis.core.environment import EMBEDDED
from diagnosis.core.errors import ContractError
from diagnosis.core.imaging.contract import ModelContract
from diagnosis.core.predictors.addresses import model_urls
from diagnosis.core.predictors.base import Predictor
from diagnosis.core.predictors.embedded import EmbeddedPredictor
from diagnosis.core.predictors.store import live_path, read_live, version_dir
from diagnosis.core.predictors.tf_serving import TFServingPredictor

logger = logging.getLogger(__name__)

_Stamp = tuple[str, str, int, int]


@dataclass(frozen=True)
class _Loaded:
    """The predictors that were made from one state of ``live.json``."""

    stamp: _Stamp
    stable: Predictor
    canary: Predictor | None


_lock = threading.Lock()
_loaded: _Loaded | None = None


def stable_predictor() -> Predictor:
    """The predictor of the stable version.

    ``live.json`` is looked at on every call (one ``stat``), so a promotion takes effect
    without a restart; requests in flight finish on the version they began with.

    Raises:
        ContractError: no version is live, or the live one cannot be loaded.
    """
    return _current().stable


def canary_predictor() -> Predictor | None:
    """The predictor of the canary; ``None`` if there is none, or it cannot be loaded.

    Raises:
        ContractError: as for ``stable_predictor``.
    """
    return _current().canary


def predictor_for(image_sha256: str, *, attempt: int) -> Predictor:
    """The predictor that answers for an image: now and then the canary's.

    ``CANARY_SHARE`` of all images go to the canary, chosen by their content, so that the same
    image goes the same way again. Only the first attempt does: whatever is wrong with a canary,
    it costs a diagnosis one attempt and never its result.

    Raises:
        ContractError: as for ``stable_predictor``.
    """
    loaded = _current()
    if loaded.canary is None or attempt > 1 or settings.SHADOW:
        return loaded.stable
    place = int(image_sha256[:12], 16) / 16**12  # even over [0, 1): it is a hash
    return loaded.canary if place < settings.CANARY_SHARE else loaded.stable


def answering_predictor(name: str, version: int, digest: str) -> Predictor | None:
    """The predictor of the version that gave an earlier answer; ``None`` if it serves no more.

    Besides the versions that answer now, the one before them is served still (a rollback needs
    it); it is loaded when somebody asks for it here.

    Args:
        name, version, digest: as the diagnosis keeps them.

    Raises:
        ContractError: as for ``stable_predictor``, and where the version before cannot be loaded.
    """
    if name != settings.MODEL_NAME:
        return None
    loaded = _current()
    for predictor in (loaded.stable, loaded.canary):
        if predictor and _is(predictor, version, digest):
            return predictor
    if read_live(settings.MODEL_STORE, settings.MODEL_NAME).previous != version:
        return None
    previous = _previous(loaded.stamp, version, digest)
    return previous if _is(previous, version, digest) else None


def _is(predictor: Predictor, version: int, digest: str) -> bool:
    return (predictor.contract.version, predictor.contract.digest) == (version, digest)


@lru_cache(maxsize=1)
def _previous(stamp: _Stamp, version: int, digest: str) -> Predictor:
    """Loaded once; ``stamp`` and ``digest`` are in the key, so that what changes is loaded anew."""
    return _predictor(version, [])


def _current() -> _Loaded:
    global _loaded
    stamp = _live_stamp()
    loaded = _loaded
    if loaded is None or loaded.stamp != stamp:
        with _lock:
            loaded = _loaded
            if loaded is None or loaded.stamp != stamp:
                loaded = _loaded = _load(stamp, loaded)
    return loaded


def _load(stamp: _Stamp, before: _Loaded | None) -> _Loaded:
    """Load what ``live.json`` names; a version that only changed its role is kept as it is."""
    live = read_live(settings.MODEL_STORE, settings.MODEL_NAME)
    known = [before.stable, before.canary] if before and before.stamp[:2] == stamp[:2] else []
    stable = _predictor(live.stable, known)
    canary = None
    if live.canary is not None and live.canary != live.stable:
        try:
            canary = _predictor(live.canary, known)
        except ContractError as error:  # it is on trial; the stable version answers for it
            logger.error("The canary is left out: %s", error)
    return _Loaded(stamp, stable, canary)


def _predictor(version: int, known: list[Predictor | None]) -> Predictor:
    folder = version_dir(settings.MODEL_STORE, settings.MODEL_NAME, version)
    contract = ModelContract.load(folder)
    for predictor in known:
        if predictor and predictor.contract.digest == contract.digest:
            return predictor
    if settings.PREDICTOR_URL == EMBEDDED:
        return EmbeddedPredictor(folder)
    return TFServingPredictor(
        model_urls(settings.PREDICTOR_URL), contract, calls_at_once=settings.PREDICTOR_CALLS
    )


def _live_stamp() -> _Stamp:
    """What changes whenever ``live.json`` is replaced, or another predictor is asked for."""
    path = live_path(settings.MODEL_STORE, settings.MODEL_NAME)
    try:
        found = path.stat()
    except OSError as error:
        raise ContractError(
            f"{path} cannot be read ({error.strerror}): promote a version with "
            "`python -m export promote N`."
        ) from error
    return settings.PREDICTOR_URL, str(path), found.st_ino, found.st_mtime_ns
