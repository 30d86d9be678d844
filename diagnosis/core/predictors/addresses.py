"""Where model servers listen: one model URL may stand for several of them."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit


@dataclass(frozen=True)
class Address:
    """One server of a model.

    Attributes:
        url: of the model there, e.g. ``http://10.0.0.1:8501/v1/models/all_smear``.
        host: the ``Host`` header to send, which keeps the name that was resolved.
    """

    url: str
    host: str


def model_urls(predictor_url: str) -> list[str]:
    """The model URLs in a ``PREDICTOR_URL`` such as ``http://a:8501/v1/models/m,http://b…``.

    Raises:
        ValueError: one of them is not the URL of a model, or there is none.
    """
    urls = [url.strip().rstrip("/") for url in predictor_url.split(",")]
    for url in urls:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname
        try:
            named = known and parts.port != 0
        except ValueError:
            named = False
        path = parts.path.split("/")
        if not named or path[:3] != ["", "v1", "models"] or len(path) != 4 or not path[3]:
            raise ValueError(
                f"{url!r} is not the URL of a model; give something like "
                "http://tfserving:8501/v1/models/all_smear."
            )
        if parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError(f"{parts.hostname}: a model URL has no user, query or fragment.")
    return urls


def resolve(url: str) -> list[Address]:
    """The model URL once for each address that its host has, in a stable order.

    Several servers may stand behind one name, and each loads versions for itself.

    Raises:
        OSError: the name cannot be resolved.
    """
    parts = urlsplit(url)
    if parts.scheme == "https":  # a certificate is for the name, not for an address
        return [Address(url, parts.netloc)]
    port = parts.port or 80
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    return [
        Address(urlunsplit(parts._replace(netloc=f"{_literal(ip)}:{port}")), parts.netloc)
        for ip in sorted({str(info[4][0]) for info in found})
    ]


def _literal(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip
