"""The wording of ``diagnosis.portal.wording`` as template filters."""

from django import template

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
