"""What was done about an upload's colour profile; earlier ones were dropped without a word."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0019_corrected_case")]

    operations = [
        migrations.AddField(
            model_name="diagnosis",
            name="colour_conversion",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
    ]
