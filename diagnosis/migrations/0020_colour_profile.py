"""What was done about an upload's colour profile; earlier ones were dropped without a word."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0014_no_signed_at")]

    operations = [
        migrations.AddField(
            model_name="diagnosis",
            name="colour_conversion",
            field=models.CharField(blank=True, db_default="", default="", max_length=80),
        ),
    ]
