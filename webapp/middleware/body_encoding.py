"""How bodies of requests may be encoded, whatever the address: in no way but UTF-8."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, multipartparser
from django.utils.translation import gettext as _

from webapp.api.errors import problem_answer
from webapp.middleware.multipart import part_headers

_CHARSET = re.compile(r"""charset\s*=\s*["']?([^;"'\s]*)""", re.IGNORECASE)
_UTF_8 = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


class BodyMiddleware:
    """Refuses a body that is compressed, or text in another encoding: 415.

    Django would take the compressed bytes for the document itself and decode forms with whatever
    codec of Python the client names, of which some are none for text.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        multipartparser.parse_boundary_stream = part_headers  # type: ignore[attr-defined]

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or pass the request on."""
        coding = request.headers.get("Content-Encoding", "").strip().lower()
        charset = _CHARSET.search(request.headers.get("Content-Type", ""))
        if coding not in ("", "identity"):
            return self._refuse(
                request,
                "unsupported_content_encoding",
                _("The body is compressed or otherwise encoded; send it as it is."),
                "Send the body without Content-Encoding.",
            )
        if charset and charset[1].lower() not in _UTF_8:
            return self._refuse(
                request,
                "unsupported_charset",
                _("The body is in another encoding than UTF-8; send it in UTF-8."),
                "Send the text in UTF-8.",
            )
        return self.get_response(request)

    def _refuse(self, request: HttpRequest, code: str, detail: str, fix: str) -> HttpResponse:
        if request.path_info.startswith("/api/"):
            return problem_answer(415, code, detail, fix=fix)
        return HttpResponse(f"{detail}\n", status=415, content_type="text/plain; charset=utf-8")
