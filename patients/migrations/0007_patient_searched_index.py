from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("patients", "0006_fill_patient_searched")]

    operations = [
        migrations.AddIndex(
            model_name="patient",
            index=models.Index(fields=["searched"], name="patient_searched"),
        ),
    ]
