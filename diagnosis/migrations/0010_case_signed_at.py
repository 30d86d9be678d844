from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0009_diagnosis_created_at_index")]

    operations = [
        migrations.AddField(
            model_name="case",
            name="signed_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
