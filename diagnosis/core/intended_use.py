"""What the software is for, as every page, report and model card states it."""

from diagnosis.core.i18n import gettext_noop as _

RESEARCH_USE = _("Research use only. Not a medical device.")
PURPOSE = _(
    "The software presents blood-smear images with a suggested category. A qualified person "
    "trained in blood-cell recognition must verify or change every suggestion. It does not "
    "diagnose leukaemia, assign an immunophenotype or exclude disease. A 'not suspicious' result "
    "must not delay microscopy, flow cytometry or referral."
)
INTENDED_USE = f"{RESEARCH_USE} {PURPOSE}"
