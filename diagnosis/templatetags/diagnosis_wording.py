"""The wording of the pages as template filters and tags."""

from django import template
from django.utils.html import format_html
from django.utils.translation import gettext

from diagnosis.core.intended_use import PURPOSE, RESEARCH_USE
from diagnosis.models.labels import name_of
from diagnosis.portal import wording

register = template.Library()

register.filter("name_of", name_of)
register.filter("headline", wording.headline)
register.filter("category", wording.category)
register.filter("percent", wording.percent)
register.filter("failed_checks", wording.failed_checks)
register.filter("meaning", wording.meaning)
register.filter("refusal_message", wording.refusal_message)
register.filter("refusal_fix", wording.refusal_fix)
register.filter("probability_bars", wording.probability_bars)
register.filter("reading", wording.reading)
register.filter("age", wording.age)
register.filter("colour_sentence", wording.colour_sentence)


@register.simple_tag
def intended_use() -> str:
    """What the software is for, in the language of whoever looks."""
    return format_html("<strong>{}</strong> {}", gettext(RESEARCH_USE), gettext(PURPOSE))
