from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0015_amendment_kind")]

    operations = [
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["content", "identity"])),
                name="amendment_kind_known",
            ),
        ),
    ]
