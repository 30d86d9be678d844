from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0004_cases_of_earlier_fields")]

    operations = [
        migrations.AddIndex(
            model_name="diagnosis",
            index=models.Index(
                fields=["created_at", "status", "specimen"], name="diagnosis_period"
            ),
        ),
    ]
