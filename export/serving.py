"""Waits until TensorFlow Serving has loaded a version, before clients are sent to it."""

import socket
import time
from urllib.parse import urlsplit, urlunsplit

import requests

from export.errors import ExportError

EMBEDDED = "embedded:"
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
    for url in predictor_url.split(","):
        for address, host in addresses(url.strip()):
            while (answer := _state(address, host, version)) != "AVAILABLE":
                if time.monotonic() > deadline:
                    raise NotServedError(
                        f"{address} has not loaded version {version} after {timeout:.0f} s (it "
                        f"says: {answer}). Nothing was promoted. See that it reads models.config "
                        "again (--model_config_file_poll_wait_seconds) and promote once more."
                    )
                time.sleep(POLL_SECONDS)


def addresses(url: str) -> list[tuple[str, str]]:
    """The model URL once for each address its host resolves to, with the Host header to send.

    Several servers may stand behind one name, and each loads the version for itself.

    Raises:
        NotServedError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise NotServedError(f"PREDICTOR_URL holds {url!r}, which is no http:// model URL.")
    if parts.scheme == "https":  # a certificate is for the name, not for an address
        return [(url, parts.netloc)]
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise NotServedError(f"{parts.hostname} cannot be resolved ({error.strerror}).") from error
    names = {str(info[4][0]) for info in found}
    return [
        (urlunsplit(parts._replace(netloc=f"{_literal(name)}:{parts.port or 80}")), parts.netloc)
        for name in sorted(names)
    ]


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _state(address: str, host: str, version: int) -> str:
    """What the server says of the version: its state, or what went wrong."""
    try:
        answer = requests.get(
            f"{address}/versions/{version}", headers={"Host": host}, timeout=REQUEST_SECONDS
        )
        statuses = answer.json().get("model_version_status", [])
    except (requests.RequestException, ValueError, AttributeError) as error:
        return type(error).__name__
    return statuses[0].get("state", "nothing") if statuses else f"HTTP {answer.status_code}"
