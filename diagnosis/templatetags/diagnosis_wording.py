"""The wording of ``diagnosis.portal.wording`` as template filters."""

from django import template

from diagnosis.portal import wording

register = template.Library()

register.filter("headline", wording.headline)
register.filter("category", wording.category)
register.filter("percent", wording.percent)
register.filter("failed_checks", wording.failed_checks)
register.filter("age", wording.age)
