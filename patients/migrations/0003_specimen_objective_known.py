from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("patients", "0002_specimen_objective")]

    operations = [
        migrations.AddConstraint(
            model_name="specimen",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    objective__in=["100x", "63x", "60x", "50x", "40x", "other", "unknown"]
                ),
                name="specimen_objective",
            ),
        ),
    ]
