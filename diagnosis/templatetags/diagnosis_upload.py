"""What the upload form has to know beside its words."""

from django import template
from django.conf import settings

from diagnosis.portal.upload_form import FEW

register = template.Library()


@register.simple_tag
def upload_limits() -> dict[str, int]:
    """``few``: files that are screened while one waits; ``bytes`` and ``mib``: the largest file."""
    limit = settings.MAX_UPLOAD_BYTES
    return {"few": FEW, "bytes": limit, "mib": limit // 2**20}
