"""How the API writes JSON."""

from collections.abc import Mapping
from typing import Any

from rest_framework import renderers


class _AsciiRenderer(renderers.JSONRenderer):
    ensure_ascii = True


class JSONRenderer(renderers.JSONRenderer):
    """DRF's, for half a character too: a refusal repeats what was sent, and UTF-8 has no half."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """UTF-8; in ASCII with escapes where something in ``data`` cannot be UTF-8."""
        try:
            return super().render(data, accepted_media_type, renderer_context)
        except UnicodeEncodeError:
            return _AsciiRenderer().render(data, accepted_media_type, renderer_context)
