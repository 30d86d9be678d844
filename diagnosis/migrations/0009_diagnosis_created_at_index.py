from django.db import migrations, models


class Migration(migrations.Migration):
    """The index of 0008 begins with the same column."""

    dependencies = [("diagnosis", "0008_diagnosis_period_index")]

    operations = [
        migrations.AlterField(
            model_name="diagnosis",
            name="created_at",
            field=models.DateTimeField(auto_now_add=True),
        ),
    ]
