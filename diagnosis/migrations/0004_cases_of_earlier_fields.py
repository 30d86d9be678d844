from django.conf import settings
from django.db import migrations
from django.db.models import Count, Q

from diagnosis.aggregate import FieldCounts, case_verdict

BATCH = 500


def make_cases(apps, schema_editor):
    """Specimens whose fields came in before there were cases get theirs."""
    Diagnosis = apps.get_model("diagnosis", "Diagnosis")
    Case = apps.get_model("diagnosis", "Case")
    fields = Diagnosis.objects.exclude(specimen=None).filter(specimen__case=None)
    counted = (
        fields.order_by("specimen")
        .values("specimen")
        .annotate(
            suspicious=Count("pk", filter=Q(outcome="suspicious")),
            indeterminate=Count("pk", filter=Q(outcome="indeterminate")),
            not_suspicious=Count("pk", filter=Q(outcome="not_suspicious")),
            rejected=Count("pk", filter=Q(outcome="rejected")),
            waiting=Count("pk", filter=Q(status="received")),
            failed=Count("pk", filter=Q(status="failed")),
        )
    )
    made = []
    for counts in list(counted):
        specimen = counts.pop("specimen")
        verdict = case_verdict(FieldCounts(**counts), settings.MIN_USABLE_FIELDS)
        made.append(
            Case(
                specimen_id=specimen,
                headline=verdict.headline.value,
                rule=verdict.rule.value,
                calm=int(verdict.headline in ("not_suspicious", "waiting")),
                **counts,
            )
        )
    Case.objects.bulk_create(made, batch_size=BATCH)


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0003_case_and_review")]

    operations = [migrations.RunPython(make_cases, migrations.RunPython.noop)]
