"""From where a request comes: an address, and a browser that a user has signed in with before."""

import ipaddress
import secrets
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

COOKIE = "known_browser"
COOKIE_AGE_S = 180 * 24 * 60 * 60
MOST_USERS = 20
"""Of one browser that are remembered; workstations are shared."""


def address_of(request: HttpRequest) -> str:
    """The client's address; of IPv6 the /64, which one client may have whole.

    Behind the TLS proxy it is the last one of ``X-Forwarded-For``, which the proxy itself wrote:
    what stands before it is the client's say. Without a proxy the header is all the client's.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if settings.BEHIND_PROXY:
        told = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        address = told or address
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def known_browser(request: HttpRequest, user_id: int | None) -> str | None:
    """The browser's own name, if that user has signed in with it; else ``None``."""
    cookie = _read(request)
    return cookie["browser"] if user_id is not None and user_id in cookie["users"] else None


def browser_remember(request: HttpRequest, response: HttpResponse, user_id: int) -> None:
    """Let the browser be known to this user from now on."""
    cookie = _read(request)
    if user_id in cookie["users"]:
        return
    cookie["users"] = [*cookie["users"], user_id][-MOST_USERS:]
    response.set_cookie(
        COOKIE,
        signing.dumps(cookie, salt=COOKIE),
        max_age=COOKIE_AGE_S,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )


def _read(request: HttpRequest) -> dict[str, Any]:
    try:
        found = signing.loads(request.COOKIES.get(COOKIE, ""), salt=COOKIE, max_age=COOKIE_AGE_S)
        return {"browser": str(found["browser"]), "users": [int(user) for user in found["users"]]}
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return {"browser": secrets.token_hex(16), "users": []}
