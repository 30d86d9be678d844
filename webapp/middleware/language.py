"""Which language an answer is in: the reader's in the portal, English for programs."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers


class LanguageMiddleware:
    """As Django's ``LocaleMiddleware`` (cookie, then ``Accept-Language``, then English), except:

    - what a program reads must not depend on who asks: below ``/api/`` everything is in English,
      and no header says otherwise (probes and metrics are answered before this);
    - the thread is left as it was found, so that nothing outside a request is translated.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer in the language of the reader."""
        if request.path_info.startswith("/api/"):
            with translation.override(settings.LANGUAGE_CODE):
                return self.get_response(request)
        language = translation.get_language_from_request(request)
        with translation.override(language):
            response = self.get_response(request)
        patch_vary_headers(response, ["Accept-Language"])
        response.headers.setdefault("Content-Language", language)
        return response
