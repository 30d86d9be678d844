from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("patients", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="specimen",
            name="objective",
            field=models.CharField(
                choices=[
                    ("100x", "100×, oil immersion"),
                    ("63x", "63×"),
                    ("60x", "60×"),
                    ("50x", "50×, oil immersion"),
                    ("40x", "40×"),
                    ("other", "Other"),
                    ("unknown", "Not stated"),
                ],
                default="unknown",
                max_length=8,
            ),
        ),
    ]
