from django.db import migrations

BATCH = 500


def fill(apps, schema_editor):
    """By the primary key, a batch at a time: what is done stays done if it is cut off."""
    patients = apps.get_model("patients", "Patient").objects.using(schema_editor.connection.alias)
    searched = patients.model._meta.get_field("searched")
    after = 0
    while rows := list(patients.filter(pk__gt=after).order_by("pk")[:BATCH]):
        for row in rows:
            row.searched = searched.folded_of(row)
        patients.bulk_update(rows, ["searched"])
        after = rows[-1].pk


class Migration(migrations.Migration):
    # A million patients are not one transaction; filling again changes nothing.
    atomic = False

    dependencies = [("patients", "0005_patient_searched")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=False)]
