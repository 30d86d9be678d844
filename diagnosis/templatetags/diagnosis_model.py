"""Whether the model answers, on every page that may say that something waits for it."""

from datetime import datetime

from django import template

from diagnosis.fields.selectors import model_away_since

register = template.Library()


@register.inclusion_tag("diagnosis/_model_away.html")
def model_away() -> dict[str, datetime | None]:
    """A line that says since when it does not; nothing where it does or nobody waits."""
    return {"since": model_away_since()}
