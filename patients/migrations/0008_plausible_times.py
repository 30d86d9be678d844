from django.db import migrations, models

import patients.models


class Migration(migrations.Migration):
    dependencies = [("patients", "0007_patient_searched_index")]

    operations = [
        migrations.AlterField(
            model_name="specimen",
            name=name,
            field=models.DateTimeField(
                blank=True,
                null=True,
                validators=[
                    patients.models.validate_plausible_time,
                    patients.models.validate_past_time,
                ],
            ),
        )
        for name in ("collected_at", "received_at")
    ]
