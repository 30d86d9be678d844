from django.db import migrations

import patients.fields


class Migration(migrations.Migration):
    dependencies = [("patients", "0004_demonstration")]

    operations = [
        migrations.AddField(
            model_name="patient",
            name="searched",
            field=patients.fields.FoldedField(of=("medical_record_number", "name")),
        ),
    ]
