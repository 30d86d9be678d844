"""Waits until TensorFlow Serving has loaded a version, before clients are sent to it."""

import time

import requests

from diagnosis.core.environment import EMBEDDED
from diagnosis.core.predictors.addresses import Address, model_urls, resolve
from diagnosis.core.predictors.tf_serving import AVAILABLE
from diagnosis.core.predictors.wire import read_state
from export.errors import ExportError

LOADING_SECONDS = 120.0  # that `promote` and `canary` wait unless told otherwise
POLL_SECONDS = 1.0
REQUEST_SECONDS = 5.0


class NotServedError(ExportError):
    """A model server has not loaded a version in time."""


def wait_available(predictor_url: str, version: int, timeout: float) -> None:
    """Return when every address of ``predictor_url`` says that ``version`` is AVAILABLE.

    Args:
        predictor_url: as the environment variable of that name: ``embedded:``, for which there
            is nothing to wait, or comma-separated model URLs.
        timeout: in seconds, for all addresses together.

    Raises:
        NotServedError: one did not say so in time; says which, and what it said last.
    """
    if predictor_url == EMBEDDED:
        return
    deadline = time.monotonic() + timeout
    for address in _addresses(predictor_url):
        while (answer := _state(address, version)) != AVAILABLE:
            if time.monotonic() > deadline:
                raise NotServedError(
                    f"{address.url} has not loaded version {version} after {timeout:.0f} s (it "
                    f"says: {answer}). Nothing was promoted. Its log names what it left out or "
                    "could not load; see also that it reads models.config again "
                    "(--model_config_file_poll_wait_seconds), and promote once more."
                )
            time.sleep(POLL_SECONDS)


def _addresses(predictor_url: str) -> list[Address]:
    """Every server of ``predictor_url``; each loads the version for itself."""
    try:
        return [address for url in model_urls(predictor_url) for address in resolve(url)]
    except (ValueError, OSError) as error:
        raise NotServedError(f"PREDICTOR_URL ({predictor_url}) cannot be asked: {error}") from error


def _state(address: Address, version: int) -> str:
    """What the server says of the version: its state, or what went wrong."""
    try:
        answer = requests.get(
            f"{address.url}/versions/{version}",
            headers={"Host": address.host},
            timeout=REQUEST_SECONDS,
        )
    except requests.RequestException as error:
        return type(error).__name__
    return read_state(answer.status_code, answer.content)
