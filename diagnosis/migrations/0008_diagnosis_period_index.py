from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0007_blinded_worklist")]

    operations = [
        migrations.AddIndex(
            model_name="diagnosis",
            index=models.Index(
                fields=["created_at", "status", "specimen"], name="diagnosis_period"
            ),
        ),
    ]
